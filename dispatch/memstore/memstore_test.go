package memstore_test

import (
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/memstore"
	"github.com/ceralacca/go-pec/dispatch/storetest"
)

func TestStore(t *testing.T) {
	stores := make(map[string]*memstore.Store)
	storetest.Run(t, func(t *testing.T, name string) dispatch.Store {
		if stores[name] == nil {
			stores[name] = new(memstore.Store)
		}
		return stores[name]
	})
}
