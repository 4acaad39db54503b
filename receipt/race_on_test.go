//go:build race

package receipt_test

const underRace = true // tests are many times slower
