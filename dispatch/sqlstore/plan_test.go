package sqlstore_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Whatever is asked is found by an index, and comes in its order from there: a
// query that looks at all rows, or sorts them, is fast in every test and stands
// still in production.

func TestSQLitePlans(t *testing.T) {
	s := openSQLite(t, filepath.Join(t.TempDir(), "sends.db"))
	// A list is read to its end, and then something is looked up for each of it: not for
	// each of all that an account has.
	slow := `SCAN [^l]|TEMP B-TREE|AUTOMATIC|SEARCH m USING PRIMARY KEY \(account=\?\)`
	checkPlans(t, append(s.Queries(), queryWithoutIndex), slow, func(query string) string {
		return explain(t, s.db, "EXPLAIN QUERY PLAN "+query, make([]any, parameters(query))...)
	})
}

// A statement is planned when there is hardly a row yet, and the plan may be kept
// while a million are added.
func TestPostgreSQLPlans(t *testing.T) {
	s := openPostgres(t, t.TempDir())
	s.db.SetMaxOpenConns(1)
	explain(t, s.db, "SET plan_cache_mode = force_generic_plan")
	queries := slices.DeleteFunc(append(s.Queries(), queryWithoutIndex), func(query string) bool {
		return strings.Contains(query, "FROM batches") // of which all are wanted, so sorting is no loss
	})
	checkPlans(t, queries, `Seq Scan|Sort|Aggregate|Hash|Join Filter`, func(query string) string {
		explain(t, s.db, "PREPARE x AS "+query)
		defer explain(t, s.db, "DEALLOCATE x")
		execute := "EXPLAIN EXECUTE x"
		if n := parameters(query); n > 0 {
			execute += "(" + strings.Join(slices.Repeat([]string{"NULL"}, n), ", ") + ")"
		}
		return explain(t, s.db, execute)
	})
}

// queryWithoutIndex is there so that a check that lets everything pass fails.
const queryWithoutIndex = "SELECT * FROM facts WHERE kind = $1"

func checkPlans(t *testing.T, queries []string, slow string, plan func(query string) string) {
	t.Helper()
	for _, query := range queries {
		p := plan(query)
		if regexp.MustCompile(slow).MatchString(p) != (query == queryWithoutIndex) {
			t.Errorf("the plan of %s:\n%s", query, p)
		}
	}
}

// parameters returns how many parameters a query has.
func parameters(query string) (n int) {
	for strings.Contains(query, fmt.Sprintf("$%d", n+1)) {
		n++
	}
	return n
}

// explain returns what the database says it will do, with a line for each step.
func explain(t *testing.T, db *sql.DB, query string, args ...any) string {
	t.Helper()
	rows, err := db.Query(query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var plan, line string
	var ignored any
	fields := slices.Repeat([]any{&ignored}, max(len(columns)-1, 0))
	for rows.Next() {
		if err := rows.Scan(append(fields, &line)...); err != nil {
			t.Fatal(err)
		}
		plan += line + "\n"
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return plan
}
