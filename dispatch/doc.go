// Package dispatch sends one message to each of many recipients by PEC, each at
// most once, and follows each to its own receipt.
package dispatch
