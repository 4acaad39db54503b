package main

import (
	_ "embed"
	"os"
	"path/filepath"
	"text/template"
)

//go:embed readme.txt
var readmeText string

var readmeTemplate = template.Must(template.New("").Parse(readmeText))

// writeReadme writes how to check the evidence without this program, and, of a
// simulated network, the authority that it takes.
func (m *mailing) writeReadme(r *report) error {
	if m.world.issuers != nil {
		if err := os.WriteFile(filepath.Join(r.dir, "issuers.pem"), m.world.issuers, 0o644); err != nil {
			return err
		}
	}
	file, err := os.Create(filepath.Join(r.dir, "README.txt"))
	if err != nil {
		return err
	}
	defer file.Close()
	return readmeTemplate.Execute(file, map[string]any{"Simulated": m.world.issuers != nil, "Batch": m.batch.Name})
}
