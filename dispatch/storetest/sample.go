package storetest

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
)

// Records for the checks have something in every field, and something else in
// each: a store that forgets a field, or mixes up two, is found out. Fields that
// records get in the future are filled too.

func sampleAccount(n int) dispatch.Account {
	var a dispatch.Account
	fill(&a, n)
	a.Name = theAccount
	return a
}

func sampleBatch(name string, n int) dispatch.Batch {
	var b dispatch.Batch
	fill(&b, n)
	b.Name = name
	return b
}

// sampleSend is always the same for the same batch and row.
func sampleSend(batch string, row int64) dispatch.Send {
	var s dispatch.Send
	fill(&s, int(row)*100)
	s.ID = dispatch.SendID{Batch: batch, Row: row}
	return s
}

func sampleSends(batch string, rows []int64) []dispatch.Send {
	var sends []dispatch.Send
	for _, row := range rows {
		sends = append(sends, sampleSend(batch, row))
	}
	return sends
}

func sampleFact(key string, kind dispatch.FactKind, n int) dispatch.Fact {
	var f dispatch.Fact
	fill(&f, n)
	f.Key, f.Kind = key, kind
	f.Notice.Instant = f.Notice.Instant.In(time.FixedZone("", 2*60*60))
	return f
}

// sampleTry is a fact of a try at a given time.
func sampleTry(key string, at time.Time) dispatch.Fact {
	f := sampleFact(key, dispatch.FactTry, 1)
	f.At = at
	return f
}

func sampleMail(id dispatch.MailID, d dispatch.Disposition) dispatch.Mail {
	var m dispatch.Mail
	fill(&m, int(id.UID%1000))
	m.ID, m.Disposition = id, d
	return m
}

func sampleEntry(seq int64) dispatch.AuditEntry {
	var e dispatch.AuditEntry
	fill(&e, int(seq)*100)
	e.Seq = seq
	return e
}

// due is the progress of a send that is due at a given time.
func due(at time.Time) dispatch.Progress {
	return dispatch.Progress{State: dispatch.Prepared, Due: at}
}

// fill sets every exported field that v points to, and all below, to values that
// follow from n.
func fill(v any, n int) { (&filler{n}).fill(reflect.ValueOf(v).Elem()) }

type filler struct{ n int }

func (f *filler) fill(v reflect.Value) {
	f.n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(noon.Add(time.Duration(f.n) * 1000001 * time.Microsecond)))
		return
	case dispatch.Digest:
		v.Set(reflect.ValueOf(dispatch.Digest(sha256.Sum256(fmt.Append(nil, f.n)))))
		return
	case pec.Address:
		v.Set(reflect.ValueOf(address(fmt.Sprintf("Casella.%d@PEC.beta.example", f.n))))
		return
	}
	f.fillKind(v)
}

func (f *filler) fillKind(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.fill(v.Index(0))
		f.fill(v.Index(1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(key)
			f.fill(value)
			v.SetMapIndex(key, value)
		}
	default:
		f.fillScalar(v)
	}
}

func (f *filler) fillScalar(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text-%d", f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(f.n))
	case reflect.Uint8, reflect.Uint32:
		v.SetUint(uint64(f.n % 251))
	default:
		panic("storetest: a record has a field of kind " + v.Kind().String() + ", which no check knows how to fill")
	}
}

// scribble overwrites everything that v refers to.
func scribble(v any) { scribbleOver(reflect.ValueOf(v)) }

func scribbleOver(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			scribbleOver(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				scribbleOver(v.Field(i))
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			scribbleOver(v.Index(i))
		}
	case reflect.Map:
		v.Clear()
	case reflect.String:
		v.SetString("scribbled over")
	case reflect.Uint8:
		v.SetUint(v.Uint() + 1)
	}
}

func address(s string) pec.Address {
	a, err := pec.ParseAddress(s)
	if err != nil {
		panic(err) // only the checks' own addresses come here
	}
	return a
}
