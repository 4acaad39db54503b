package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
)

// load prepares messages, the same number for each account, and signs them off.
// What an earlier one with the same flags did not finish, it does.
func load(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := newFlags("load", &o)
	o.networkFlag(flags)
	sends := flags.Int("sends", 1000, "`number` of messages, over all accounts")
	name := flags.String("batch", "load", "`name` of the batch of each account")
	if err := o.parse(flags, args); err != nil {
		return err
	}
	n, err := joinNetwork(o.network)
	if err != nil {
		return err
	}
	s, err := openStore(ctx, o.dsn, o.blobs)
	if err != nil {
		return err
	}
	defer s.Close()
	d, err := dispatch.New(dispatch.Config{Store: s, Accounts: n.accounts, Now: n.now})
	if err != nil {
		return err
	}
	ctx = dispatch.WithActor(ctx, "load")
	if err := n.each(func(i int, a dispatch.AccountConfig) error {
		count := *sends / len(n.accounts)
		if i < *sends%len(n.accounts) {
			count++
		}
		return prepare(ctx, d, a.Address, *name, count)
	}); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d messages of %d accounts are signed off.\n", *sends, len(n.accounts))
	return nil
}

// each calls f for each account, for some at a time.
func (n *network) each(f func(int, dispatch.AccountConfig) error) error {
	errs := make([]error, len(n.accounts))
	turns := make(chan struct{}, connections)
	var running sync.WaitGroup
	for i, a := range n.accounts {
		turns <- struct{}{}
		running.Go(func() {
			errs[i] = f(i, a)
			<-turns
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// signOffValid is how long what load signs off may leave.
const signOffValid = 7 * 24 * time.Hour

func prepare(ctx context.Context, d *dispatch.Dispatcher, account pec.Address, name string, count int) error {
	if count == 0 {
		return nil
	}
	template, err := dispatch.NewTemplate(dispatch.TemplateConfig{
		Subject: "Avviso {{.pratica}}",
		Text:    "Gentile {{.nome}},\nla informiamo che la pratica {{.pratica}} è conclusa.\n",
	})
	if err != nil {
		return err
	}
	b, _, err := d.Prepare(ctx, dispatch.BatchSpec{Name: name, Account: account, Template: template, Rows: madeUp(account, name, count)})
	if err != nil {
		return err
	}
	if b.Phase != dispatch.PhaseReady {
		return nil // it was signed off before
	}
	return d.Approve(ctx, account, name, b.Digest, signOffValid)
}

// madeUp yields rows with recipients that no other batch has.
func madeUp(account pec.Address, batch string, count int) iter.Seq2[dispatch.Row, error] {
	return func(yield func(dispatch.Row, error) bool) {
		for i := 1; i <= count; i++ {
			row := dispatch.Row{Line: int64(i), Fields: map[string]string{
				"pec":     fmt.Sprintf("%s.%s.%d@pec.beta.example", account.Local(), batch, i),
				"nome":    fmt.Sprintf("Destinatario %d", i),
				"pratica": fmt.Sprintf("2026/%07d", i),
			}}
			if !yield(row, nil) {
				return
			}
		}
	}
}
