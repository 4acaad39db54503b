package dispatch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
)

// holders says how many accounts each worker has.
func holders(t *testing.T, store dispatch.Store) map[string]int {
	t.Helper()
	held := make(map[string]int)
	for a, err := range store.Accounts(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if a.Lease.Holder != "" && time.Now().Before(a.Lease.Until) {
			held[a.Lease.Holder]++
		}
	}
	return held
}

func TestAccountsAreShared(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const n = 12
		store := newStore()
		var accounts []dispatch.AccountConfig
		for i := range n {
			accounts = append(accounts, dispatch.AccountConfig{Address: pec.MustParseAddress(fmt.Sprintf("a%d@pec.alfa.example", i))})
		}
		worker := func(name string, store dispatch.Store) (stop func()) {
			return start(t, newDispatcher(t, dispatch.Config{Store: store, Accounts: accounts, Worker: name}))
		}
		expect := func(when string, want map[string]int) {
			t.Helper()
			time.Sleep(2 * time.Minute)
			if got := holders(t, store); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %v, want %v", when, got, want)
			}
		}
		stop1 := worker("one", store)
		defer stop1()
		expect("alone", map[string]int{"one": n})

		// The second one can be made to fall silent.
		second := silence(store)
		stop2 := worker("two", second)
		defer stop2()
		expect("a second one joined", map[string]int{"one": 6, "two": 6})
		stop3 := worker("three", store)
		expect("a third one joined", map[string]int{"one": 4, "two": 4, "three": 4})

		second.still.Store(true)
		expect("the second one fell silent", map[string]int{"one": 6, "three": 6})
		second.still.Store(false)
		expect("and came back", map[string]int{"one": 4, "two": 4, "three": 4})

		stop3()
		expect("the third one stopped", map[string]int{"one": 6, "two": 6})
		stop1()
		expect("the first one stopped", map[string]int{"two": n})
	})
}
