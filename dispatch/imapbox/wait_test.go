package imapbox_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestWait: new mail ends the waiting, however the server tells of it.
func TestWait(t *testing.T) {
	exists := func(x *peer, tag, _ string) error {
		x.say("+ idling\r\n* 4 EXISTS")
		x.r.ReadString('\n')
		x.say("%s OK done", tag)
		return nil
	}
	tests := []struct {
		name string
		caps string
		on   handlers
	}{
		{"told in IDLE", allCaps, handlers{"IDLE": exists}},
		{"asked by NOOP", fewCaps, handlers{"NOOP": answer("* 4 EXISTS", "TAG OK")}},
		{"asked again", fewCaps, handlers{"NOOP": func() func(*peer, string, string) error {
			n := 0
			return func(x *peer, tag, _ string) error {
				if n++; n == 3 {
					x.say("* 4 EXISTS")
				}
				x.say("%s OK", tag)
				return nil
			}
		}()}},
		{"told before IDLE only when asked", allCaps, handlers{
			"NOOP": answer("* 4 EXISTS", "TAG OK"),
			"IDLE": silent,
		}},
		{"told since the listing", allCaps, handlers{
			"UID FETCH": func(x *peer, tag, arguments string) error {
				x.say("* 4 EXISTS")
				return x.usual(tag, "UID FETCH", arguments)
			},
			"IDLE": silent, // not needed any more
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := startScript(t, tt.on, withCaps(tt.caps))
			config := x.config()
			config.PollInterval = time.Millisecond
			s := openInbox(t, config)
			heads(t, s, 0)
			if err := s.Wait(t.Context(), time.Hour); err != nil {
				t.Errorf("Wait: %v", err)
			}
			if _, err := s.Select(t.Context(), "INBOX"); err != nil {
				t.Errorf("Select afterwards: %v", err)
			}
		})
	}
}

// TestWaitMemory waits for mail that comes at any moment. That server may fail to
// tell of mail that comes just before IDLE, so it is not waited for without end.
func TestWaitMemory(t *testing.T) {
	m := startMemory(t, rev1)
	s := openInbox(t, m.config)
	for uid := uint32(1); uid <= 20; uid++ {
		var delivering sync.WaitGroup
		delivering.Go(func() { m.deliver(t, "a: b\r\n\r\n") })
		for len(heads(t, s, uid-1)) == 0 {
			if err := s.Wait(t.Context(), shortly); err != nil {
				t.Fatalf("Wait: %v", err)
			}
		}
		delivering.Wait()
	}
}

// TestWaitSelectedAgain: mail that came between reading a folder and selecting it
// again is told of by nothing but the numbers.
func TestWaitSelectedAgain(t *testing.T) {
	var next atomic.Int32
	next.Store(10)
	x := startScript(t, handlers{
		"EXAMINE": func(x *peer, tag, _ string) error {
			x.say("* 3 EXISTS\r\n* OK [UIDVALIDITY 17] x\r\n* OK [UIDNEXT %d] x", next.Load())
			x.say("%s OK", tag)
			return nil
		},
		"IDLE": hangUp,
	})
	s := openInbox(t, x.config())
	heads(t, s, 0)
	next.Store(11)
	if _, err := s.Select(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(t.Context(), time.Hour); err != nil {
		t.Errorf("Wait: %v; want it to return at once", err)
	}
	if _, err := s.Select(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(t.Context(), time.Hour); err == nil {
		t.Error("Wait, with nothing new: returned without asking the server")
	}
}

// TestWaitOldNews: mail that was listed is not new.
func TestWaitOldNews(t *testing.T) {
	told := false
	x := startScript(t, handlers{
		"UID FETCH": func(x *peer, tag, arguments string) error {
			if !told {
				x.say("* 4 EXISTS")
			}
			told = true
			return x.usual(tag, "UID FETCH", arguments)
		},
		"IDLE": hangUp,
	})
	s := openInbox(t, x.config())
	heads(t, s, 0)
	heads(t, s, 0)
	if err := s.Wait(t.Context(), time.Hour); err == nil {
		t.Error("Wait, with nothing new since the second listing: returned without asking the server")
	}
}

// TestWaitEnds: without new mail the waiting ends when it should.
func TestWaitEnds(t *testing.T) {
	for _, caps := range []string{allCaps, fewCaps} {
		x := startScript(t, nil, withCaps(caps))
		s := openInbox(t, x.config())
		for _, d := range []time.Duration{-1, 0, time.Millisecond} {
			if err := s.Wait(t.Context(), d); err != nil {
				t.Errorf("%s: Wait(%v): %v", caps, d, err)
			}
		}
		if got := fetch(t, s, 7); got != scriptMessage {
			t.Errorf("%s: Fetch afterwards: %q", caps, got)
		}
		if strings.Contains(caps, "IDLE") != x.saw("IDLE") {
			t.Errorf("%s: server heard %q", caps, x.heard)
		}
	}
}
