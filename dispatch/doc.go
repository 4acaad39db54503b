// Package dispatch sends one message to each of many recipients by PEC, each at
// most once, and follows each to its own receipt.
//
// PEC has no hidden copies, and Cc shows everybody's address to everybody: a mass
// send must become one message for each recipient. And a message by PEC has the
// value of a registered letter: a second copy is a second legal act, a lost receipt
// a lost case. This package is built around these two facts.
//
// # The way of a batch
//
// A [Template] and rows, such as those of a [CSV], make a batch. [Dispatcher.Prepare]
// checks every row first ([Preflight]), stores nothing if there is a fault, and
// then renders each message to its final bytes. Somebody looks at it
// ([Dispatcher.WriteMessage]) and signs it off: [Dispatcher.Approve] is bound to a
// digest over all the bytes, and has an end. [Dispatcher.Run] sends what is signed
// off, at the pace of the provider, and reads the mailbox for receipts: to its end
// before anything leaves, and on at the same time:
//
//	d, err := dispatch.New(dispatch.Config{Store: store, Accounts: accounts, Verify: verify})
//	...
//	ctx = dispatch.WithActor(ctx, "anna")
//	batch, report, err := d.Prepare(ctx, dispatch.BatchSpec{
//		Name: "november", Account: address, Template: template, Rows: rows,
//	})
//	...
//	err = d.Approve(ctx, address, batch.Name, batch.Digest, 24*time.Hour)
//	err = d.Run(ctx) // until ctx ends
//
// # What is known
//
// What is known of a send is a set of facts ([Fact]): the intent to send it, the
// provider's reply, each receipt. Facts are only ever added, and its state is a
// function of the set ([StatusOf]): receipts may come in any order, twice, and
// years late. Only receipts that package receipt verified, and that name our
// Message-ID, our address and that recipient in what is signed, are facts that
// count.
//
// # At most once
//
// The intent to send a message is stored durably after all of it was written to the
// provider, and before the final dot that makes the provider take it. If the
// process dies before, the message surely did not leave, and is sent later. If it
// dies after, or the line does before the reply, the send is [Unknown]: receipts
// settle it, or a person does ([Dispatcher.Resend]); this package never sends it
// again by itself.
//
// That holds as long as the store keeps what it confirmed. If it comes back as it was
// earlier, from a backup, from a replica that had not got everything, or from a disk that
// confirmed flushes and lost them with the power, a message of its batches that has left
// since is not sent again if the mailbox has a receipt of it, for that is read to its end
// first. A dispatcher that runs meanwhile sees it by the audit trail, before it stores
// anything, and begins anew. The message is sent again, with the same Message-ID, if
// there is none: because it has not come yet, because [AccountConfig].Purge removed it,
// or because the account has no Mailbox. What people decided since is forgotten: look at
// the batches before [Dispatcher.Run].
//
// # What it stands on
//
// A [Store] keeps everything: memstore, sqlstore, or one of your own that passes
// storetest. A [Submitter] hands messages over (smtpsend), a [Mailbox] is where
// receipts arrive (imapbox). Several dispatchers, on any number of machines, may
// share a store; each account is worked on by one of them at a time ([Lease]).
//
// Errors and logs hold no addresses, subjects or passwords; provider's replies in
// facts may.
package dispatch
