package dispatch

import (
	"errors"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// treeCheck walks the tree of a template. It gives columns the names that rows
// have, notes which are used, and refuses what would leave that in doubt.
type treeCheck struct {
	tree *parse.Tree
	part string
	uses map[string]bool // :: column → the template asks whether it is empty
	err  error           // the first fault
}

// checkTree returns the columns that a template uses, and of each whether the
// template asks if it is empty.
func checkTree(part string, t *template.Template) (map[string]bool, error) {
	c := &treeCheck{tree: t.Tree, part: part, uses: make(map[string]bool)}
	c.list(t.Root, true)
	return c.uses, c.err
}

// refuse notes a fault at a node.
func (c *treeCheck) refuse(n parse.Node, why string) {
	if c.err != nil {
		return
	}
	location, _ := c.tree.ErrorContext(n)
	e := templateError(c.part, errors.New("template: "+location+": "))
	e.Err = errors.New(why)
	c.err = e
}

// list walks a list of nodes. isRow says that the dot is the row there.
func (c *treeCheck) list(l *parse.ListNode, isRow bool) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			c.pipe(n.Pipe, isRow, false)
		case *parse.IfNode:
			c.branch(&n.BranchNode, isRow, isRow, true)
		case *parse.WithNode:
			c.branch(&n.BranchNode, isRow, false, true)
		case *parse.RangeNode:
			if isCell(n.Pipe) {
				c.refuse(n, "a cell is no list: split it")
			}
			c.branch(&n.BranchNode, isRow, false, false)
		case *parse.TemplateNode:
			c.refuse(n, "a template within the template")
		}
	}
}

// isCell reports whether a pipeline is the cell of a column and nothing else.
func isCell(p *parse.PipeNode) bool {
	if len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 1 {
		return false
	}
	switch n := p.Cmds[0].Args[0].(type) {
	case *parse.FieldNode:
		return true
	case *parse.VariableNode:
		return n.Ident[0] == "$"
	}
	return false
}

// branch walks an if, with or range. inside says whether the dot is the row in
// its list.
func (c *treeCheck) branch(n *parse.BranchNode, isRow, inside, asks bool) {
	c.pipe(n.Pipe, isRow, asks)
	c.list(n.List, inside)
	c.list(n.ElseList, isRow)
}

// pipe walks a pipeline. asks says that it matters only whether the result is
// empty.
func (c *treeCheck) pipe(p *parse.PipeNode, isRow, asks bool) {
	for _, v := range p.Decl {
		if v.Ident[0] == "$" {
			c.refuse(v, "$ is the row and can't be changed")
		}
	}
	for _, cmd := range p.Cmds {
		c.command(cmd, isRow, asks && len(p.Cmds) == 1)
	}
}

func (c *treeCheck) command(cmd *parse.CommandNode, isRow, asks bool) {
	if f, ok := cmd.Args[0].(*parse.IdentifierNode); ok {
		asks = asksAbout(f.Ident, cmd.Args)
		if f.Ident == "printf" && !(len(cmd.Args) > 1 && cmd.Args[1].Type() == parse.NodeString) {
			c.refuse(cmd, "printf with a format that is not written in the template")
		}
	}
	for _, arg := range cmd.Args {
		c.arg(arg, isRow, asks)
	}
}

// asksAbout reports whether a function asks if what it is given is empty.
func asksAbout(function string, args []parse.Node) bool {
	switch function {
	case "and", "or", "not":
		return true
	case "eq", "ne":
		return slices.ContainsFunc(args, func(n parse.Node) bool {
			s, ok := n.(*parse.StringNode)
			return ok && s.Text == ""
		})
	}
	return false
}

func (c *treeCheck) arg(n parse.Node, isRow, asks bool) {
	switch n := n.(type) {
	case *parse.PipeNode:
		c.pipe(n, isRow, asks)
	case *parse.DotNode:
		if isRow {
			c.refuse(n, "the row as a whole: name a column")
		}
	case *parse.FieldNode:
		if !isRow {
			c.refuse(n, "within with and range the dot is no row: write $."+strings.Join(n.Ident, "."))
		}
		c.column(n, n.Ident, asks)
	case *parse.VariableNode:
		switch {
		case n.Ident[0] == "$" && len(n.Ident) == 1:
			c.refuse(n, "the row as a whole: name a column")
		case n.Ident[0] == "$":
			c.column(n, n.Ident[1:], asks)
		case len(n.Ident) > 1:
			c.refuse(n, "a cell has no parts")
		}
	case *parse.ChainNode:
		c.refuse(n, "a cell has no parts")
	}
}

// column notes that a column is used.
func (c *treeCheck) column(n parse.Node, ident []string, asks bool) {
	if len(ident) > 1 {
		c.refuse(n, "a cell has no parts")
		return
	}
	name := FieldName(ident[0])
	if name == "" {
		c.refuse(n, "not the name of a column")
	}
	ident[0] = name
	c.uses[name] = c.uses[name] || asks
}
