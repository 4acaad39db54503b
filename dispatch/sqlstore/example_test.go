package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/sqlstore"
)

func ExampleNew() {
	dir, err := os.MkdirTemp("", "sqlstore")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(dir, "sends.db")))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	ctx := context.Background()
	store, err := sqlstore.New(ctx, db, sqlstore.Config{Dialect: sqlstore.SQLite})
	if err != nil {
		log.Fatal(err)
	}

	const account = "ufficio@pec.alfa.example"
	err = store.Update(ctx, account, func(tx dispatch.Tx) error {
		return tx.PutBatch(dispatch.Batch{Name: "convocazione", Total: 250})
	})
	if err != nil {
		log.Fatal(err)
	}
	err = store.View(ctx, account, func(tx dispatch.Tx) error {
		b, err := tx.Batch("convocazione")
		fmt.Println(b.Name, b.Total)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: convocazione 250
}
