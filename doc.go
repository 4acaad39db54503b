// Package gopec is the root of go-pec, a library for PEC (posta elettronica
// certificata), Italy's certified e-mail. It holds no code; import the packages
// that you need:
//
//   - [github.com/ceralacca/go-pec/receipt] reads and verifies receipts, and
//     proves that what was delivered is what was sent. Most people start here.
//   - [github.com/ceralacca/go-pec/dispatch] makes one message for each of many
//     recipients of a template, has them signed off, sends each at most once and
//     follows it to its receipt. Its sub-packages talk SMTP and IMAP and keep the
//     records in memory, SQLite or PostgreSQL.
//   - [github.com/ceralacca/go-pec/pec] is the protocol: kinds of messages,
//     addresses, certification data, the rules for sending, providers and their
//     limits.
//   - [github.com/ceralacca/go-pec/smime] signs and verifies multipart/signed.
//   - [github.com/ceralacca/go-pec/pec/pectest] is a PEC network on loopback, for
//     tests: real PEC has no test mode, every message is a legal act.
//
// The programs under examples/ show all of it at work, without a mailbox.
package gopec
