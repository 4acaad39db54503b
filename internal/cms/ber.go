package cms

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ceralacca/go-pec/internal/limit"
)

// Limits on an encoded object. They are far above what signatures need and far
// below what hurts.
const (
	maxDepth   = 30
	maxObjects = 20_000
)

// ErrBER is the error that every failure to read the encoding wraps.
var ErrBER = errors.New("bad BER")

// Tags as they stand in the identifier octet.
const (
	tagInteger     = 0x02
	tagOctetString = 0x04
	tagNull        = 0x05
	tagOID         = 0x06
	tagSequence    = 0x30
	tagSet         = 0x31
	tagContext0    = 0xa0
	tagContext1    = 0xa1
	tagPrimitive0  = 0x80

	constructed = 0x20
)

// node is one BER object: its places in the encoding, in 16 bytes, because a
// hostile encoding of 40 KB has 20,000 objects.
type node struct {
	bodyStart, bodyEnd int32 // of what it holds
	// next is the index of the node that follows this one and all it holds; maxObjects
	// fits.
	next int16
	head uint8 // bytes of identifier and length
	tail uint8 // bytes of the end-of-contents octets
	tag  byte
	// der is whether this object, and all it holds, has definite lengths in
	// their shortest form.
	der bool
}

// tree holds the objects of an encoding in the order in which they begin: the
// children of nodes[i] begin at i+1, and end before nodes[i].next.
type tree struct {
	b     []byte
	nodes []node
}

// raw returns the whole encoding of a node, a slice of the input.
func (t *tree) raw(index int) []byte {
	n := &t.nodes[index]
	end := n.bodyEnd + int32(n.tail)
	return t.b[n.bodyStart-int32(n.head) : end : end]
}

// body returns what a node holds, a slice of the input.
func (t *tree) body(index int) []byte {
	n := &t.nodes[index]
	return t.b[n.bodyStart:n.bodyEnd:n.bodyEnd]
}

// parseBER reads the one object at the front of b and checks its whole
// structure: children lie inside their parent and fill it, nesting and number of
// objects are bounded. Bytes that follow the object are an error.
//
// It walks without recursion and looks at each byte once. Other readers re-read
// children that overrun their parent, copy each level of nested objects, or
// recurse as deep as the input says; this one runs first, so that nothing after
// it meets such input.
func parseBER(b []byte) (*tree, error) {
	w := newWalker(b)
	for {
		if err := w.step(); err != nil {
			return nil, err
		}
		if w.closeEnded() {
			break
		}
	}
	if w.pos != len(b) {
		return nil, fmt.Errorf("%w: %d bytes after the object", ErrBER, len(b)-w.pos)
	}
	w.tree.spreadDER()
	return w.tree, nil
}

// walker goes through an encoding from front to back.
type walker struct {
	b     []byte
	pos   int
	tree  *tree
	stack []open
}

// open is an object whose end was not reached yet.
type open struct {
	index int
	end   int // where it ends; -1 if only its end-of-contents octets tell
	limit int // where it ends at the latest: the end, or that of what holds it
}

// typicalObjects is room for the objects of a signature with two certificates.
const typicalObjects = 272

func newWalker(b []byte) *walker {
	return &walker{
		b:     b,
		tree:  &tree{b: b, nodes: make([]node, 0, min(len(b)/10, typicalObjects))},
		stack: make([]open, 0, maxDepth),
	}
}

// step reads one identifier and length, and passes over the content if it is not
// made of objects.
func (w *walker) step() error {
	end := len(w.b)
	if n := len(w.stack); n > 0 {
		end = w.stack[n-1].limit
	}
	h, err := parseHeader(w.b[:end], w.pos)
	if err != nil {
		return err
	}
	index := len(w.tree.nodes)
	if index == maxObjects {
		return passed(maxObjects, "objects")
	}
	w.tree.nodes = append(w.tree.nodes, node{bodyStart: int32(h.start), head: uint8(h.start - w.pos), tag: h.tag, der: h.shortest})
	if h.tag&constructed == 0 {
		w.tree.close(index, h.end, h.end)
		w.pos = h.end
		return nil
	}
	if len(w.stack) == maxDepth {
		return passed(maxDepth, "levels of nesting")
	}
	if h.end >= 0 {
		end = h.end
	}
	w.stack = append(w.stack, open{index, h.end, end})
	w.pos = h.start
	return nil
}

// passed says that the encoding passes a limit.
func passed(most int, what string) error {
	return fmt.Errorf("%w: %w", ErrBER, limit.Passed(most, what))
}

// closeEnded closes the objects that end here, and reports whether none is left.
func (w *walker) closeEnded() bool {
	for len(w.stack) > 0 {
		top := w.stack[len(w.stack)-1]
		switch {
		case top.end == w.pos:
			w.tree.close(top.index, w.pos, w.pos)
		case top.end < 0 && bytes.HasPrefix(w.b[w.pos:top.limit], []byte{0, 0}):
			w.tree.close(top.index, w.pos, w.pos+2)
			w.pos += 2
		default:
			return false
		}
		w.stack = w.stack[:len(w.stack)-1]
	}
	return true
}

// close sets the end of a node, and of what it holds.
func (t *tree) close(index, bodyEnd, end int) {
	n := &t.nodes[index]
	n.bodyEnd, n.tail, n.next = int32(bodyEnd), uint8(end-bodyEnd), int16(len(t.nodes))
}

// after returns the index of the node after a node and all it holds.
func (t *tree) after(index int) int { return int(t.nodes[index].next) }

// spreadDER makes an object that holds one that is not DER not DER either.
func (t *tree) spreadDER() {
	for i := len(t.nodes) - 1; i >= 0; i-- {
		for c := i + 1; c < t.after(i); c = t.after(c) {
			if !t.nodes[c].der {
				t.nodes[i].der = false
				break
			}
		}
	}
}

// header is an identifier and a length.
type header struct {
	tag        byte
	start, end int // of the content; end is -1 if the length is indefinite
	shortest   bool
}

func parseHeader(b []byte, pos int) (header, error) {
	if len(b)-pos < 2 {
		return header{}, fmt.Errorf("%w: cut short at byte %d", ErrBER, pos)
	}
	h := header{tag: b[pos], shortest: true}
	if h.tag&0x1f == 0x1f {
		return header{}, fmt.Errorf("%w: high tag number at byte %d", ErrBER, pos)
	}
	if h.tag&^constructed == 0 {
		return header{}, fmt.Errorf("%w: end of contents out of place at byte %d", ErrBER, pos)
	}
	first := b[pos+1]
	h.start = pos + 2
	switch {
	case first < 0x80:
		h.end = h.start + int(first)
	case first == 0x80:
		if h.tag&constructed == 0 {
			return header{}, fmt.Errorf("%w: indefinite length of a primitive object at byte %d", ErrBER, pos)
		}
		h.end, h.shortest = -1, false
		return h, nil
	default:
		size := int(first & 0x7f)
		if size > 4 || len(b)-h.start < size {
			return header{}, fmt.Errorf("%w: bad length at byte %d", ErrBER, pos)
		}
		var length int64 // int has 32 bits on some machines
		for _, c := range b[h.start : h.start+size] {
			length = length<<8 | int64(c)
		}
		h.shortest = b[h.start] != 0 && length >= 0x80
		h.start += size
		if length > int64(len(b)-h.start) {
			return header{}, overrun(pos)
		}
		h.end = h.start + int(length)
	}
	if h.end > len(b) {
		return header{}, overrun(pos)
	}
	return h, nil
}

func overrun(pos int) error {
	return fmt.Errorf("%w: object at byte %d is longer than what holds it", ErrBER, pos)
}

// cursor reads the children of a constructed object one after another.
type cursor struct {
	t        *tree
	pos, end int
	err      error
}

func (t *tree) children(index int) *cursor {
	return &cursor{t: t, pos: index + 1, end: t.after(index)}
}

// peek returns the tag of the next child, or 0.
func (c *cursor) peek() byte {
	if c.err != nil || c.pos >= c.end {
		return 0
	}
	return c.t.nodes[c.pos].tag
}

// take returns the index of the next child, which must have the given tag.
func (c *cursor) take(tag byte, what string) int {
	if c.err == nil && c.peek() != tag {
		c.err = fmt.Errorf("%w: %s missing or of another type", ErrStructure, what)
	}
	if c.err != nil {
		return -1
	}
	index := c.pos
	c.pos = c.t.after(index)
	return index
}

// body returns what the next child holds, which must have the given tag.
func (c *cursor) body(tag byte, what string) []byte {
	if i := c.take(tag, what); i >= 0 {
		return c.t.body(i)
	}
	return nil
}

// done fails if there are children left.
func (c *cursor) done(what string) error {
	if c.err == nil && c.pos < c.end {
		c.err = fmt.Errorf("%w: too much in %s", ErrStructure, what)
	}
	return c.err
}
