//go:build race

package pectest_test

const underRace = true // tests are many times slower
