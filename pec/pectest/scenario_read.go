package pectest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/ceralacca/go-pec/pec"
)

// ReadScenario reads a scenario in JSON. Fields, faults and stages that do not
// exist are errors, and so are rules that could never apply. The error says in
// which line or rule.
func ReadScenario(r io.Reader) (Scenario, error) {
	s, err := readScenario(r)
	if err != nil {
		return Scenario{}, fmt.Errorf("pectest: reading a scenario: %w", err)
	}
	return s, nil
}

func readScenario(r io.Reader) (Scenario, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return Scenario{}, err
	}
	var file struct {
		Scenario
		Rules []json.RawMessage `json:"rules"` // read one by one, to say which is wrong
	}
	if err := decodeStrictly(text, &file); err != nil {
		return Scenario{}, err
	}
	s := file.Scenario
	if err := s.checkChecks(); err != nil {
		return Scenario{}, err
	}
	at := max(0, bytes.Index(text, []byte(`"rules"`)))
	for i, raw := range file.Rules {
		at += bytes.Index(text[at:], raw)
		var rule Rule
		if err := decodeStrictly(raw, &rule); err != nil {
			return Scenario{}, fmt.Errorf("line %d: rule %d: %w", lineOf(text, at), i+1, err)
		}
		if err := rule.check(); err != nil {
			return Scenario{}, fmt.Errorf("line %d: rule %d: %w", lineOf(text, at), i+1, err)
		}
		s.Rules = append(s.Rules, rule)
		at += len(raw)
	}
	return s, nil
}

// decodeStrictly reads one value that is all of the text.
func decodeStrictly(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: %w", lineOf(text, int(syntax.Offset)), err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("line %d: the text ends too early", lineOf(text, len(text)))
	case err != nil:
		return err
	}
	if rest := bytes.TrimSpace(text[d.InputOffset():]); len(rest) > 0 {
		return fmt.Errorf("line %d: more text after the end", lineOf(text, len(text)-len(rest)))
	}
	return nil
}

// lineOf returns the number of the line in which an offset is.
func lineOf(text []byte, offset int) int { return bytes.Count(text[:offset], []byte("\n")) + 1 }

func (s *Scenario) check() error {
	if err := s.checkChecks(); err != nil {
		return err
	}
	for i := range s.Rules {
		if err := s.Rules[i].check(); err != nil {
			return fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	return nil
}

func (s *Scenario) checkChecks() error {
	for check, response := range s.Checks {
		if !slices.Contains(allChecks(), check) {
			return fmt.Errorf("no check %q", check)
		}
		if !slices.Contains([]Response{RespondNotice, RespondSMTP, RespondNothing}, response) {
			return fmt.Errorf("check %q: no response %q", check, response)
		}
	}
	return nil
}

// faultStages are the faults, with the stages at which they can occur; the first
// is meant if a rule names none.
var faultStages = map[Fault][]Stage{
	FaultLogin:    {StageAuth, StageIMAP},
	FaultReply:    {StageMail, StageRcpt, StageDot},
	FaultThrottle: {StageMail},
	FaultCut:      {StageAccepted, StageConnect, StageAuth, StageMail, StageRcpt, StageData, StageDropped},
	FaultSlow:     {StageDot, StageConnect, StageAuth, StageMail, StageRcpt, StageData},
	FaultSilent:   {StageDot, StageConnect, StageAuth, StageMail, StageRcpt, StageData, StageAccepted, StageDropped},
	FaultIMAPCut:  {StageLiteral, StageSelect, StageFetch},
	FaultIMAPSlow: {StageFetch, StageSelect},

	FaultRefused: nil, FaultVirusAtSender: nil,
	FaultFull: nil, FaultUnknown: nil, FaultInvalid: nil, FaultDomain: nil,
	FaultVirusAtRecipient: nil, FaultDelivery: nil, FaultPause: nil,
	FaultLate: nil, FaultLost: nil, FaultDoubled: nil, FaultReordered: nil,
	FaultForged: nil, FaultAltered: nil, FaultReplayed: nil, FaultUnsigned: nil,
	FaultUIDValidity: nil, FaultQuota: nil, FaultForeign: nil,
}

// check refuses a rule that could never apply, or with a field that means nothing.
func (r *Rule) check() error {
	stages, known := faultStages[r.Fault]
	switch {
	case !known:
		return fmt.Errorf("no fault %q", r.Fault)
	case r.Stage != "" && !slices.Contains(stages, r.Stage):
		return fmt.Errorf("fault %q does not occur at stage %q", r.Fault, r.Stage)
	case r.Probability < 0 || r.Probability > 1 || math.IsNaN(r.Probability):
		return errors.New("probability is not between 0 and 1")
	case r.Skip < 0 || r.Times < 0 || r.Count < 0 || r.Bytes < 0 || r.Delay < 0 || r.From < 0 || r.Until < 0:
		return errors.New("a number is negative")
	case r.Until != 0 && r.Until <= r.From:
		return errors.New("it ends before it begins")
	case r.Code != 0 && (r.Code < 400 || r.Code > 599):
		return errors.New("code is not one of a refusal")
	}
	for _, pattern := range []string{r.Recipient, r.Sender} {
		if err := checkPattern(pattern); err != nil {
			return err
		}
	}
	if err := r.checkNeeds(); err != nil {
		return err
	}
	return r.checkUse()
}

// checkPattern refuses what no address can match.
func checkPattern(pattern string) error {
	address := pattern
	if domain, ok := strings.CutPrefix(pattern, "*@"); ok {
		address = "x@" + domain
	}
	if address == "" {
		return nil
	}
	if _, err := pec.ParseAddress(address); err != nil {
		return fmt.Errorf("%q is neither an address nor *@domain", pattern)
	}
	return nil
}

// checkNeeds refuses rules that lack what makes them a fault.
func (r *Rule) checkNeeds() error {
	switch r.Fault {
	case FaultLate, FaultSlow, FaultIMAPSlow:
		if r.Delay == 0 {
			return fmt.Errorf("fault %q needs a delay", r.Fault)
		}
	case FaultQuota:
		if r.Bytes == 0 {
			return fmt.Errorf("fault %q needs a number of bytes", r.Fault)
		}
	case FaultForeign:
		if _, err := pec.ParseAddress(r.Sender); err != nil || r.Count == 0 {
			return fmt.Errorf("fault %q needs an account as its sender, and a count", r.Fault)
		}
	}
	return nil
}

// checkUse refuses fields that the fault of a rule does not look at: a rule with
// one would not do what its author meant.
func (r *Rule) checkUse() error {
	is := func(faults ...Fault) bool { return slices.Contains(faults, r.Fault) }
	receipts := slices.Contains(receiptFaults, r.Fault)
	atLogin := is(FaultLogin) || r.stage() == StageConnect || r.stage() == StageAuth
	ofMailbox := is(FaultIMAPCut, FaultIMAPSlow, FaultUIDValidity, FaultQuota, FaultForeign)
	uses := []struct {
		field string
		set   bool
		used  bool
	}{
		{"recipient", r.Recipient != "", !atLogin && !ofMailbox && r.stage() != StageMail && !is(FaultPause)},
		{"sender", r.Sender != "", r.stage() != StageConnect && !is(FaultPause)},
		{"kind", r.Kind != "", receipts},
		{"delay", r.Delay != 0, is(FaultLate, FaultSlow, FaultIMAPSlow)},
		{"code", r.Code != 0, is(FaultReply)},
		{"text", r.Text != "", is(FaultReply, FaultDelivery, FaultRefused)},
		{"bytes", r.Bytes != 0, is(FaultQuota) || r.stage() == StageData || r.stage() == StageLiteral},
		{"count", r.Count != 0, is(FaultForeign)},
		{"also", r.Also, is(FaultForged, FaultAltered, FaultReplayed, FaultUnsigned)},
	}
	for _, u := range uses {
		if u.set && !u.used {
			return fmt.Errorf("fault %q has no use for a %s", r.Fault, u.field)
		}
	}
	if r.Kind != "" && !r.Kind.IsReceipt() {
		return fmt.Errorf("no kind of receipt %q", r.Kind)
	}
	return nil
}

// checkProviders refuses rules about providers that a network does not have.
func (c *Config) checkProviders(rules ...Rule) error {
	hosts := []string{c.OrdinaryDomain}
	for _, s := range c.Sites {
		hosts = append(hosts, s.Domain)
	}
	for i, r := range rules {
		if r.Provider != "" && !containsFold(hosts, r.Provider) {
			return fmt.Errorf("rule %d: no provider %q; there are %s", i+1, r.Provider, strings.Join(hosts, ", "))
		}
	}
	return nil
}
