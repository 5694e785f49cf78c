package main

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// print writes a command's result.
func (p *program) print(text []byte) error {
	if _, err := p.stdout.Write(text); err != nil {
		return fmt.Errorf("write standard output: %w", err)
	}
	return nil
}

// printJSON writes a command's result for programs.
func (p *program) printJSON(result any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(result); err != nil {
		return fmt.Errorf("encode %T: %w", result, err)
	}
	return p.print(text.Bytes())
}
