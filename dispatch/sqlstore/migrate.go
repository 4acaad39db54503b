package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"
)

//go:embed schema
var schema embed.FS

// ErrNewer is the error of a database whose tables were made by a newer version of
// this package.
var ErrNewer = errors.New("sqlstore: the tables are of a newer version than this program knows")

// migrations returns the statements that make the tables of each version out of
// those of the one before: 1.sql, 2.sql and so on.
func migrations(files fs.FS, dir string) ([]string, error) {
	var list []string
	for n := 1; ; n++ {
		text, err := fs.ReadFile(files, path.Join(dir, fmt.Sprintf("%d.sql", n)))
		if errors.Is(err, fs.ErrNotExist) && n > 1 {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("sqlstore: reading the schema: %w", err)
		}
		list = append(list, string(text))
	}
}

// migrate brings the tables up to date. Several processes may try at once.
func migrate(ctx context.Context, db *sql.DB, d *dialect) error {
	list, err := migrations(schema, d.schema)
	if err != nil {
		return err
	}
	return migrateTo(ctx, db, d, list)
}

func migrateTo(ctx context.Context, db *sql.DB, d *dialect, list []string) error {
	if _, err := db.ExecContext(ctx, d.createVersions); err != nil {
		return fmt.Errorf("sqlstore: creating the table of versions: %w", err)
	}
	for {
		done, err := migrateOne(ctx, db, d, list)
		if err != nil || done {
			return err
		}
	}
}

// migrateOne makes the next version in a transaction of its own. It is done when
// there is none.
func migrateOne(ctx context.Context, db *sql.DB, d *dialect, list []string) (done bool, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return false, fmt.Errorf("sqlstore: bringing the tables up to date: %w", err)
	}
	defer tx.Rollback()
	var version int
	_, err = tx.ExecContext(ctx, d.lockVersions)
	if err == nil {
		err = tx.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM schema_version`).Scan(&version)
	}
	switch {
	case err != nil:
		return false, fmt.Errorf("sqlstore: reading the version of the tables: %w", err)
	case version > len(list):
		return false, fmt.Errorf("%w: %d, and it knows %d", ErrNewer, version, len(list))
	case version == len(list):
		return true, nil
	}
	if _, err := tx.ExecContext(ctx, list[version]); err != nil {
		return false, fmt.Errorf("sqlstore: making version %d of the tables: %w", version+1, err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO schema_version (version, applied) VALUES ($1, $2)`, version+1, instant{time.Now()})
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return false, fmt.Errorf("sqlstore: making version %d of the tables: %w", version+1, err)
	}
	return false, nil
}
