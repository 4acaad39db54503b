package receipt_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// The benchmarks compare the verification of a receipt with the least that it can
// cost: the digest of what is signed, and one RSA signature. They have no
// sub-benchmarks, so that
//
//	go test -run '^$' -bench . ./receipt
//
// runs one after the other in one and the same process. On a machine that others use
// too, [BenchmarkVerifyOverFloor] tells the ratio best: it takes turns.

// benchmark is a receipt to verify, and what its signature is made of.
type benchmark struct {
	raw    []byte
	opts   receipt.Options
	signed []byte // the signed bytes
	key    *rsa.PublicKey
	sig    []byte // a signature of that key over the digest of signed
}

var benchNetwork = sync.OnceValues(func() (*network, error) {
	a, err := testAuthority()
	if err != nil {
		return nil, err
	}
	n := &network{authority: a}
	for p, config := range map[**pectest.Provider]pectest.ProviderConfig{
		&n.alfa: {Name: "Gestore Alfa S.p.A.", Domain: "pec.alfa.example", Domains: []string{"pec.mittente.example"}},
		&n.beta: {Name: "Gestore Beta S.r.l.", Domain: "pec.beta.example"},
	} {
		config.Dialect = pectest.JPEC()
		if *p, err = a.NewProvider(config); err != nil {
			return nil, err
		}
	}
	n.directory = pec.NewDirectory([]pec.Provider{n.alfa.Record(), n.beta.Record()})
	return n, nil
})

// benchOptions turn on every rule: directory, revocation, arrival.
func benchOptions(b testing.TB) (*network, receipt.Options) {
	b.Helper()
	n, err := benchNetwork()
	if err != nil {
		b.Fatal(err)
	}
	crl, err := n.authority.CRL(certified)
	if err != nil {
		b.Fatal(err)
	}
	opts := n.options()
	opts.Trust = trustIn(b, []*x509.RevocationList{crl}, n.authority.Issuer())
	opts.Limits.Message = 1 << 30
	return n, opts
}

// pdf is a message with an attachment of n bytes, as encoded.
func pdfMessage(n int64) io.Reader {
	fields, _, _ := strings.Cut(sent, "Content-Type:")
	const perLine = 78
	return io.MultiReader(strings.NewReader(fields+"Content-Type: multipart/mixed; boundary=b\r\n\r\n"+
		"--b\r\nContent-Type: text/plain\r\n\r\nIn allegato il sollecito.\r\n"+
		"--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
		&repeated{text: strings.Repeat("JVBERi0xLjQK", 7)[:perLine-2] + "\r\n", left: n / perLine * perLine},
		strings.NewReader("\r\n--b--\r\n"))
}

func newBenchmark(b testing.TB, attachment int64) *benchmark {
	b.Helper()
	n, opts := benchOptions(b)
	d := n.data(pec.KindDelivery)
	d.Delivery, d.ReceiptType = comune, pec.ReceiptComplete
	var raw bytes.Buffer
	if err := n.beta.Compose(&raw, pectest.Message{Data: d, Original: pdfMessage(attachment)}); err != nil {
		b.Fatal(err)
	}
	x := &benchmark{raw: raw.Bytes(), opts: opts}
	m, err := receipt.Verify(bytes.NewReader(x.raw), opts) // fills the cache
	if err != nil {
		b.Fatal(err)
	}
	if got := len(m.Remarks()); got != 0 {
		b.Fatalf("%d remarks: not every rule was on: %v", got, m.Remarks())
	}
	mark := []byte("\r\n--" + outerBoundary(b, x.raw))
	from := bytes.Index(x.raw, mark) + len(mark) + 2
	x.signed = x.raw[from : from+bytes.Index(x.raw[from:], mark)]
	if sha256.Sum256(x.signed) != m.SignedDigest() {
		b.Fatal("the signed bytes are not those that were cut out")
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256(x.signed)
	if x.sig, err = rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]); err != nil {
		b.Fatal(err)
	}
	x.key = &key.PublicKey
	return x
}

// verifyOnce verifies the receipt, which in reads.
func (x *benchmark) verifyOnce(b *testing.B, in *bytes.Reader) {
	in.Reset(x.raw)
	if _, err := receipt.Verify(in, x.opts); err != nil {
		b.Fatal(err)
	}
}

func (x *benchmark) floorOnce(b *testing.B) {
	digest := sha256.Sum256(x.signed)
	if err := rsa.VerifyPKCS1v15(x.key, crypto.SHA256, digest[:], x.sig); err != nil {
		b.Fatal(err)
	}
}

func (x *benchmark) verify(b *testing.B) {
	b.SetBytes(int64(len(x.raw)))
	b.ReportAllocs()
	in := bytes.NewReader(x.raw)
	for b.Loop() {
		x.verifyOnce(b, in)
	}
}

func (x *benchmark) floor(b *testing.B) {
	b.SetBytes(int64(len(x.raw)))
	for b.Loop() {
		x.floorOnce(b)
	}
}

// overFloor reports how many times the floor a verification takes, by the medians of
// both: what else the machine does meanwhile makes some turns many times longer.
func (x *benchmark) overFloor(b *testing.B) {
	in := bytes.NewReader(x.raw)
	var verify, floor []time.Duration
	for b.Loop() {
		start := time.Now()
		x.verifyOnce(b, in)
		turn := time.Now()
		x.floorOnce(b)
		verify, floor = append(verify, turn.Sub(start)), append(floor, time.Since(turn))
	}
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2])
	}
	b.ReportMetric(median(verify)/median(floor), "floors")
}

const small = 12_000 // makes a receipt of 20 KB

func BenchmarkVerify(b *testing.B) { newBenchmark(b, small).verify(b) }
func BenchmarkFloor(b *testing.B)  { newBenchmark(b, small).floor(b) }

// BenchmarkVerifyOverFloor tells by "floors" how many times the floor it takes.
func BenchmarkVerifyOverFloor(b *testing.B) { newBenchmark(b, small).overFloor(b) }

func BenchmarkVerify10MB(b *testing.B) { newBenchmark(b, 10_000_000).verify(b) }
func BenchmarkFloor10MB(b *testing.B)  { newBenchmark(b, 10_000_000).floor(b) }

// BenchmarkFloorParallel tells how far the machine itself gets with all cores.
func BenchmarkFloorParallel(b *testing.B) {
	x := newBenchmark(b, small)
	b.SetBytes(int64(len(x.raw)))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			digest := sha256.Sum256(x.signed)
			if err := rsa.VerifyPKCS1v15(x.key, crypto.SHA256, digest[:], x.sig); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkVerifyParallel(b *testing.B) {
	x := newBenchmark(b, small)
	b.SetBytes(int64(len(x.raw)))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		in := bytes.NewReader(x.raw)
		for pb.Next() {
			in.Reset(x.raw)
			if _, err := receipt.Verify(in, x.opts); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// largeReceipt writes a receipt with an attachment of n bytes to a file.
func largeReceipt(b testing.TB, n int64) (*os.File, receipt.Options) {
	b.Helper()
	network, opts := benchOptions(b)
	file, err := os.CreateTemp(b.TempDir(), "receipt")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { file.Close() })
	d := network.data(pec.KindDelivery)
	d.Delivery, d.ReceiptType = comune, pec.ReceiptComplete
	if err := network.beta.Compose(file, pectest.Message{Data: d, Original: pdfMessage(n)}); err != nil {
		b.Fatal(err)
	}
	return file, opts
}

func rewind(b testing.TB, file *os.File) {
	b.Helper()
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkVerify100MB(b *testing.B) {
	file, opts := largeReceipt(b, 100_000_000)
	b.SetBytes(100_000_000)
	b.ReportAllocs()
	for b.Loop() {
		rewind(b, file)
		if _, err := receipt.Verify(file, opts); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFloor100MB digests the same file.
func BenchmarkFloor100MB(b *testing.B) {
	file, _ := largeReceipt(b, 100_000_000)
	b.SetBytes(100_000_000)
	for b.Loop() {
		rewind(b, file)
		if _, err := io.Copy(sha256.New(), file); err != nil {
			b.Fatal(err)
		}
	}
}

// TestMemoryDoesNotGrow verifies receipts of 100 KB, 10 MB and 100 MB and compares
// what that allocates in all, which no peak can be above.
func TestMemoryDoesNotGrow(t *testing.T) {
	if testing.Short() {
		t.Skip("large")
	}
	sizes := []int64{100_000, 10_000_000, 100_000_000}
	if underRace {
		sizes = sizes[:2]
	}
	var smallest uint64
	for _, size := range sizes {
		file, opts := largeReceipt(t, size)
		var before, after runtime.MemStats
		for range 2 { // the first fills caches
			rewind(t, file)
			runtime.ReadMemStats(&before)
			if _, err := receipt.Verify(file, opts); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
		}
		used := after.TotalAlloc - before.TotalAlloc
		t.Logf("%d bytes: %d allocated", size, used)
		if smallest == 0 {
			smallest = used
		}
		if used > 512<<10 || used > smallest+64<<10 {
			t.Errorf("verifying %d bytes allocated %d bytes, want at most 512 KiB and about the %d of the smallest", size, used, smallest)
		}
	}
}

// TestParallel verifies the same receipts from many goroutines with one Options.
func TestParallel(t *testing.T) {
	n := sharedNetwork(t, "jpec")
	opts := n.options()
	opts.Trust = trustIn(t, nil, n.authority.Issuer()) // with an empty cache
	var messages [][]byte
	for _, c := range allCases() {
		messages = append(messages, n.forge(t, c, n.issuer(c), nil))
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				if _, err := receipt.VerifyMessage(bytes.NewReader(messages[i%len(messages)]), opts); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
