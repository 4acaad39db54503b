//go:build race

package main

const underRace = true // the programs are built with the race detector too
