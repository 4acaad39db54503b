package pectest

import (
	"crypto/tls"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-smtp"

	"github.com/ceralacca/go-pec/pec"
)

// site is a host of a network: a PEC provider with its three points (access,
// incoming, delivery), or the ordinary mail host, which has no Provider.
type site struct {
	*Provider // nil for the ordinary host
	network   *Network
	domains   []string
	startTLS  bool

	smtps      *listener // submission with TLS from the first byte
	submission *listener // submission with STARTTLS
	mx         *listener // mail of other hosts
	imap       *listener
	smtpServer []*smtp.Server
	imapServer *imapserver.Server

	out   *workers // relays to other hosts
	links links

	mu       sync.Mutex
	tracked  map[string]*transmission // :: identifier → what is not settled yet
	traffic  map[string]*traffic      // :: key of an account → what it sent
	held     map[string][]func()      // :: key of a sender → receipts to send after the next
	last     map[pec.Kind]*blob       // the last receipt of each kind, to be replayed
	impostor func() (*Provider, error)
}

func newSite(n *Network, p *Provider, domains []string, startTLS bool) *site {
	s := &site{
		Provider: p, network: n, domains: domains, startTLS: startTLS,
		tracked: make(map[string]*transmission),
		traffic: make(map[string]*traffic),
		held:    make(map[string][]func()),
		last:    make(map[pec.Kind]*blob),
	}
	s.impostor = sync.OnceValues(s.newImpostor)
	return s
}

// host names the site in the journal and in trace fields.
func (s *site) host() string { return s.domains[0] }

func (s *site) submissionEndpoint() Endpoint {
	if s.startTLS {
		return s.submission.endpoint(TLSStart)
	}
	return s.smtps.endpoint(TLSImplicit)
}

// relays is how many connections a site keeps to each other site.
const relays = 2

// listen opens the ports.
func (s *site) listen() error {
	s.out = startWorkers(relays, &s.network.activity)
	for _, l := range []**listener{&s.smtps, &s.submission, &s.mx, &s.imap} {
		var err error
		if *l, err = s.network.listen(); err != nil {
			return err
		}
	}
	connect := func() *Rule {
		return s.network.faults.pick(occasion{stage: StageConnect, provider: s.host()}, FaultCut, FaultSlow, FaultSilent)
	}
	s.smtps.onConnect, s.submission.onConnect = connect, connect
	s.serveSMTP(s.smtps, true, s.newSubmissionSession)
	s.serveSMTP(s.submission, false, s.newSubmissionSession)
	s.serveSMTP(s.mx, false, s.newIncomingSession)
	s.serveIMAP()
	return nil
}

func (s *site) serveSMTP(l *listener, implicit bool, session smtp.BackendFunc) {
	server := smtp.NewServer(session)
	server.Domain = s.host()
	server.TLSConfig = s.network.tls.serverConfig()
	server.MaxMessageBytes = s.network.profile.MaxTotalBytes / 2 * 3 // what is larger gets no notice
	server.MaxRecipients = 10_000
	server.MaxLineLength = 1 << 20 // it is for the checks to judge
	server.ReadTimeout = 10 * time.Minute
	server.WriteTimeout = time.Minute
	server.ErrorLog = quiet{}
	s.smtpServer = append(s.smtpServer, server)
	s.network.running.Go(func() {
		if implicit {
			server.Serve(tls.NewListener(l, server.TLSConfig))
		} else {
			server.Serve(l)
		}
	})
}

// quiet is a log for what clients do wrong, which is nobody's concern here.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// close closes the ports, and waits for what was going on.
func (s *site) close() {
	for _, server := range s.smtpServer {
		server.Close()
	}
	for _, l := range []*listener{s.smtps, s.submission, s.mx, s.imap} {
		if l != nil {
			l.closeAll()
		}
	}
	if s.imapServer != nil {
		s.imapServer.Close()
	}
	if s.out != nil {
		s.links.closeAll()
		s.out.stop()
	}
}

// process does a task of the site, or puts it off as long as the scenario has the
// site do nothing.
func (s *site) process(task func()) {
	n := s.network
	if until := n.faults.pausedUntil(s.host()); until.After(n.clock.Now()) {
		n.clock.at(until, func() { s.process(task) })
		return
	}
	n.tasks.add(task)
}

// now is the instant of a transaction: the one time that its texts, headers and
// data show. RFC 6109, section 4.1.
func (s *site) now() time.Time { return Rome(s.network.clock.Now()).Truncate(time.Second) }

func (s *site) response(c Check) Response { return s.network.config.Scenario.Checks[c] }

func (s *site) profile() *pec.Profile { return &s.network.profile }
