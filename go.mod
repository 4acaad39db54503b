module github.com/ceralacca/go-pec

go 1.26.0

require (
	go.mozilla.org/pkcs7 v0.10.0
	golang.org/x/crypto v0.58.0
)
