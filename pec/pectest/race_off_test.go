//go:build !race

package pectest_test

const underRace = false
