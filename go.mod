module github.com/ceralacca/go-pec

go 1.26
