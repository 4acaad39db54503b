// Package house holds the tests that keep the house in order: what may import
// what, what stands in the top folder, that the README's program compiles, and
// that cited sections of RFC 6109 exist. It has no code of its own.
package house
