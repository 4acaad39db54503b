//go:build !race

package receipt_test

const underRace = false
