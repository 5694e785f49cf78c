package main

import (
	"fmt"

	"herd/cmd/herd/internal/page"
)

// print writes a command's result.
func (p *program) print(text []byte) error {
	if _, err := p.stdout.Write(text); err != nil {
		return fmt.Errorf("write standard output: %w", err)
	}
	return nil
}

// show writes a command's result for programs, or the text of it.
func (p *program) show(asJSON bool, result any, text []byte) error {
	if asJSON {
		return p.printJSON(result)
	}
	return p.print(text)
}

// printJSON writes a command's result for programs.
func (p *program) printJSON(result any) error {
	text, err := page.JSON(result)
	if err != nil {
		return err
	}
	return p.print(text)
}
