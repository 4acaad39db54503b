package cms

// In the package itself: the gate is not exported, and that it works in linear
// time is shown by counting its steps.

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/internal/limit"
)

func fromHex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err) // a constant of this file is wrong
	}
	return b
}

// overrun returns n cells, each an object of two bytes whose child says that it
// holds all the rest. A reader that follows the child and then goes on at the
// parent's end reads the rest twice, and what the rest holds four times.
func overrunCells(n int) []byte {
	var b []byte
	for ; n > 0; n-- {
		b = append([]byte{0x30, 0x02, 0x30, byte(len(b))}, b...)
	}
	return b
}

// nested returns n objects inside each other.
func nested(n int, indefinite bool) []byte {
	b := []byte{0x05, 0x00}
	for ; n > 0; n-- {
		if indefinite {
			b = append(append([]byte{0x30, 0x80}, b...), 0, 0)
		} else {
			b = definite(tagSequence, b)
		}
	}
	return b
}

var gateCases = []struct {
	name   string
	input  []byte
	ok     bool
	reason string
}{
	{"primitive", fromHex("05 00"), true, "the smallest object"},
	{"empty sequence", fromHex("30 00"), true, "definite length"},
	{"empty indefinite", fromHex("30 80 00 00"), true, "ends with its end-of-contents"},
	{"indefinite in definite", fromHex("30 04 30 80 00 00"), true, "and fills it"},
	{"definite in indefinite", fromHex("30 80 30 02 05 00 00 00"), true, "BouncyCastle's way"},
	{"long length", append(fromHex("04 81 80"), make([]byte, 128)...), true, "the shortest form"},
	{"longer length than needed", fromHex("04 84 00 00 00 01 ff"), true, "BER allows it"},
	{"context tags", fromHex("a0 03 80 01 ff"), true, "as in SignedData"},
	{"28 deep", nested(28, true), true, "as deep as signatures ever are, and deeper"},
	{"30 deep", nested(30, false), true, "as deep as allowed"},

	{"nothing", nil, false, "no object"},
	{"one byte", fromHex("30"), false, "no length"},
	{"cut in the length", fromHex("30 82 01"), false, "cut short"},
	{"cut in the content", fromHex("04 02 01"), false, "cut short"},
	{"cut in the children", fromHex("30 04 05 00"), false, "cut short"},
	{"without end-of-contents", fromHex("30 80 05 00"), false, "cut short"},
	{"half an end-of-contents", fromHex("30 80 00"), false, "cut short"},
	{"bytes after the object", fromHex("05 00 00"), false, "nothing may follow"},
	{"object after the object", fromHex("05 00 05 00"), false, "nothing may follow"},
	{"end-of-contents after the object", fromHex("30 80 00 00 00 00"), false, "nothing may follow"},
	{"child longer than its parent", fromHex("30 03 04 02 01 02"), false, "it would be read as part of both"},
	{"child that only just overruns", fromHex("30 05 30 02 04 02 01 02"), false, "the same, deeper"},
	{"child shorter than its parent", fromHex("30 03 05 00 05"), false, "half an object is left"},
	{"end-of-contents beyond the parent", fromHex("30 02 30 80 00 00"), false, "the child ends outside"},
	{"end-of-contents half beyond the parent", fromHex("30 03 30 80 00 00"), false, "the child ends outside"},
	{"end-of-contents beyond the grandparent", fromHex("30 04 30 80 30 80 00 00 00 00"), false, "the child ends outside"},
	{"end-of-contents in a definite object", fromHex("30 02 00 00"), false, "it ends nothing"},
	{"constructed end-of-contents", fromHex("30 02 20 00"), false, "no such thing"},
	{"primitive of indefinite length", fromHex("04 80 00 00"), false, "nothing could end it"},
	{"high tag number", fromHex("1f 85 01 00"), false, "nothing here uses one"},
	{"high tag number inside", fromHex("30 03 bf 01 00"), false, "the same"},
	{"length of five bytes", fromHex("04 85 00 00 00 00 00"), false, "beyond any limit"},
	{"length of 127 bytes", fromHex("04 ff 00"), false, "reserved"},
	{"2 GiB declared", fromHex("30 84 7f ff ff ff"), false, "not there"},
	{"4 GiB declared", fromHex("30 84 ff ff ff ff"), false, "negative in 32 bits"},
	{"4 GiB declared inside", fromHex("30 08 04 84 ff ff ff fe 00 00"), false, "negative in 32 bits"},
	{"overrun of ten cells", overrunCells(10), false, "exponential for others"},
	{"31 deep", nested(31, false), false, "deeper than allowed"},
	{"31 deep, indefinite", nested(31, true), false, "quadratic for others"},
}

func TestGate(t *testing.T) {
	for _, c := range gateCases {
		t.Run(c.name, func(t *testing.T) {
			tree, err := parseBER(c.input)
			if c.ok {
				if err != nil {
					t.Fatalf("parseBER(%x): %v (%s)", c.input, err, c.reason)
				}
				checkTree(t, c.input, tree)
				return
			}
			if !errors.Is(err, ErrBER) || tree != nil {
				t.Errorf("parseBER(%x) = %v, %v, want ErrBER (%s)", c.input, tree, err, c.reason)
			}
		})
	}
}

// checkTree checks that the objects are slices of b, and that what an object
// holds fills it.
func checkTree(t *testing.T, b []byte, tree *tree) {
	t.Helper()
	if !bytes.Equal(tree.raw(0), b) {
		t.Errorf("parseBER(%x): the first object is %x", b, tree.raw(0))
	}
	for i, n := range tree.nodes {
		if raw, body := tree.raw(i), tree.body(i); cap(raw) != len(raw) || cap(body) != len(body) {
			t.Errorf("parseBER(%x): object %d: an append would write to the input", b, i)
		}
		if n.tag&constructed == 0 {
			if tree.after(i) != i+1 {
				t.Errorf("parseBER(%x): primitive object %d holds others", b, i)
			}
			continue
		}
		var content []byte
		der := tree.raw(i)[1] != 0x80
		for c := i + 1; c < tree.after(i); c = tree.after(c) {
			content = append(content, tree.raw(c)...)
			der = der && tree.nodes[c].der
		}
		if !bytes.Equal(content, tree.body(i)) {
			t.Errorf("parseBER(%x): object %d holds %x, want %x", b, i, content, tree.body(i))
		}
		if n.der && !der {
			t.Errorf("parseBER(%x): object %d is said to be DER", b, i)
		}
	}
}

func TestGateKnowsDER(t *testing.T) {
	for _, c := range []struct {
		input string
		der   bool
	}{
		{"30 05 04 03 01 02 03", true},
		{"30 80 00 00", false},
		{"30 04 30 80 00 00", false},
		{"30 81 02 05 00", false},
		{"30 03 05 81 00", false},
		{"30 04 05 82 00 00", false},
		{"30 07 31 05 30 03 04 81 00", false},
	} {
		tree, err := parseBER(fromHex(c.input))
		if err != nil {
			t.Fatalf("parseBER(%s): %v", c.input, err)
		}
		if got := tree.nodes[0].der; got != c.der {
			t.Errorf("parseBER(%s): DER = %v, want %v", c.input, got, c.der)
		}
	}
}

func TestGateObjectLimit(t *testing.T) {
	objects := func(n int) []byte { return definite(tagSequence, bytes.Repeat([]byte{5, 0}, n-1)) }
	if _, err := parseBER(objects(maxObjects)); err != nil {
		t.Errorf("%d objects: %v", maxObjects, err)
	}
	_, err := parseBER(objects(maxObjects + 1))
	var passed *limit.Error
	if !errors.Is(err, ErrBER) || !errors.As(err, &passed) || passed.Max != maxObjects {
		t.Errorf("%d objects: %v, want the limit of %d", maxObjects+1, err, maxObjects)
	}
	_, err = parseBER(nested(maxDepth+1, false))
	if !errors.As(err, &passed) || passed.Max != maxDepth {
		t.Errorf("%d levels: %v, want the limit of %d", maxDepth+1, err, maxDepth)
	}
}

// Every step takes two bytes at least and never goes back, so that the number of
// steps is bounded by half the number of bytes, whatever the bytes are.
func TestGateIsLinear(t *testing.T) {
	inputs := [][]byte{bytes.Repeat([]byte{0x30, 0x80}, 5000), bytes.Repeat([]byte{0x30, 0x00}, 5000), bytes.Repeat([]byte{0x24, 0x80, 0x04, 0x00}, 5000)}
	for _, c := range gateCases {
		inputs = append(inputs, c.input)
	}
	for _, b := range inputs {
		w := newWalker(b)
		steps, pos := 0, 0
		for {
			err := w.step()
			if err != nil {
				break
			}
			steps++
			if w.pos < pos+2 {
				t.Fatalf("step %d of %x went from %d to %d", steps, b, pos, w.pos)
			}
			pos = w.pos
			if w.closeEnded() {
				break
			}
		}
		if steps > len(b)/2 || cap(w.stack) > maxDepth {
			t.Errorf("%d steps and a stack of %d for %d bytes", steps, cap(w.stack), len(b))
		}
	}
	// The cells that others read 1,023 times.
	w := newWalker(overrunCells(10))
	steps := 0
	for ; w.step() == nil; steps++ {
		w.closeEnded()
	}
	if steps != 1 {
		t.Errorf("the overrun was found after %d objects, want 1", steps)
	}
}

func FuzzGate(f *testing.F) {
	for _, c := range gateCases {
		f.Add(c.input)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if tree, err := parseBER(b); err == nil {
			checkTree(t, b, tree)
		} else if !errors.Is(err, ErrBER) {
			t.Errorf("parseBER(%x): %v is not ErrBER", b, err)
		}
	})
}
