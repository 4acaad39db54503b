package pec

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
)

// Profile is what is known of one provider: its limits, its hosts and its ways.
//
// Providers publish little of it, change it, and agree on other terms with some
// of their customers: a Profile is dated data, to be overruled by what the
// contract of an account says. Zero values mean "not known", never "no limit";
// [Profile.OrDefault] puts careful values in their place. A Profile round-trips
// through JSON, so that callers may keep profiles of their own in files.
type Profile struct {
	// Name names the provider, or the service of it that the numbers are about.
	Name string `json:"name"`
	// Domains are mail domains at which the provider is known to hold mailboxes,
	// in lower case. Most customers have domains of their own.
	Domains []string `json:"domains,omitempty"`

	// MaxRecipients is the most recipients of one message, To and Cc together.
	MaxRecipients int `json:"maxRecipients,omitempty"`
	// MaxTotalBytes bounds the encoded size of a message times its recipients.
	// RFC 6109, section 3.1.1.
	MaxTotalBytes int64 `json:"maxTotalBytes,omitempty"`
	// PerMinute, PerHour and PerDay are how many messages an account may send.
	PerMinute int `json:"perMinute,omitempty"`
	PerHour   int `json:"perHour,omitempty"`
	PerDay    int `json:"perDay,omitempty"`
	// Connections is how many SMTP connections an account may hold at a time,
	// and MessagesPerConnection how many messages may go over one.
	Connections           int `json:"connections,omitempty"`
	MessagesPerConnection int `json:"messagesPerConnection,omitempty"`
	// MailboxBytes is the size of the smallest mailbox that the provider sells.
	MailboxBytes int64 `json:"mailboxBytes,omitempty"`
	// BlockedExtensions are endings of file names that the provider refuses in
	// attachments, in lower case and with the dot.
	BlockedExtensions []string `json:"blockedExtensions,omitempty"`
	// SenderMustEqualLogin says that the provider refuses a sender address other
	// than that of the account.
	SenderMustEqualLogin bool `json:"senderMustEqualLogin,omitempty"`
	// ThrottlePatterns match SMTP replies that say, whatever their code, that
	// the account sends too much: it must pause, and nothing is wrong with the
	// message.
	ThrottlePatterns []*regexp.Regexp `json:"throttlePatterns,omitempty"`
	// SentFolders are names under which the folder of sent messages is found.
	SentFolders []string `json:"sentFolders,omitempty"`
	// SMTP and IMAP are host:port, both for TLS from the first byte.
	SMTP string `json:"smtp,omitempty"`
	IMAP string `json:"imap,omitempty"`

	// Sources says of each field above, by its JSON name, where it comes from.
	Sources map[string]Source `json:"sources,omitempty"`
}

// Source says where a fact comes from.
type Source struct {
	// From names the page, document or law.
	From string `json:"from"`
	// Read is the day on which it was read, as yyyy-mm-dd; pages may have been
	// older than that.
	Read string `json:"read"`
	// Note says what to bear in mind, such as that a list is not complete.
	Note string `json:"note,omitempty"`
}

//go:embed profiles.json
var profilesJSON []byte

// Profiles returns the providers that this package knows something of, each time
// as new values.
func Profiles() []Profile {
	var profiles []Profile
	if err := json.Unmarshal(profilesJSON, &profiles); err != nil {
		panic(fmt.Sprintf("pec: profiles.json: %v", err)) // the tests read it
	}
	return profiles
}

// ProfileForDomain returns the profile of the provider of a mail domain, if it
// is one that this package knows. Domains are matched whole.
func ProfileForDomain(domain string) (Profile, bool) {
	for _, p := range Profiles() {
		if slices.Contains(p.Domains, lowerASCII(domain)) {
			return p, true
		}
	}
	return Profile{}, false
}

// DefaultProfile returns careful values for a provider of which nothing is
// known: one recipient a message, 30,000,000 bytes, 6 messages a minute, one
// connection. The bytes are what the law makes every provider accept, the rate
// is the lowest that any provider is known to enforce.
func DefaultProfile() Profile {
	return Profile{
		Name:                 "unknown provider",
		MaxRecipients:        1,
		MaxTotalBytes:        30_000_000,
		PerMinute:            6,
		Connections:          1,
		SenderMustEqualLogin: true,
	}
}

// OrDefault returns p with the values of [DefaultProfile] in place of those that
// are not known.
func (p Profile) OrDefault() Profile {
	def := DefaultProfile()
	if p.Name == "" {
		p.Name = def.Name
	}
	p.MaxRecipients = positiveOr(p.MaxRecipients, def.MaxRecipients)
	p.MaxTotalBytes = positiveOr(p.MaxTotalBytes, def.MaxTotalBytes)
	p.PerMinute = positiveOr(p.PerMinute, def.PerMinute)
	p.Connections = positiveOr(p.Connections, def.Connections)
	p.SenderMustEqualLogin = def.SenderMustEqualLogin // false is "not known" too
	return p
}

func positiveOr[T int | int64](n, def T) T {
	if n > 0 {
		return n
	}
	return def
}
