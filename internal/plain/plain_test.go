package plain_test

import (
	"testing"

	"github.com/ceralacca/go-pec/internal/plain"
)

func TestText(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"ordinary text stays", "Città n. 17: «sollecito»", "Città n. 17: «sollecito»"},
		{"no second line in a log", "a\r\nb\tc", "a  b c"},
		{"no terminal command", "\x1b[2Jgone", "\ufffd[2Jgone"},
		{"no C1 control, which some terminals obey", "a\u009bb", "a\ufffdb"},
		{"no turned direction of writing", "exe\u202efdp", "exe\ufffdfdp"},
		{"no invisible joiner", "pec\u200d.it", "pec\ufffd.it"},
		{"no line separator", "a\u2028b", "a\ufffdb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := plain.Text(tt.in); got != tt.want {
				t.Errorf("Text(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}
