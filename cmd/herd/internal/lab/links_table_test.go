//go:build lab

package lab

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// publishCells prints the tables of the matrix, or with -write puts them into PERFORMANCE.md.
func publishCells(t *testing.T, all []*cellFigures) {
	t.Helper()
	all = slices.DeleteFunc(slices.Clone(all), func(c *cellFigures) bool { return c.link.tcp == 0 })
	if len(all) == 0 {
		t.Fatal("no link was measured")
	}
	now := time.Now().UTC().Format("2 January 2006, 15:04 UTC")
	part := fmt.Sprintf("Measured on %s with %s, links cut for %v, overloaded for %v.\n\n%s",
		now, all[0].control, *cellsCut, *cellsLoad, markdown(cutTable(all)))
	if loads := loadTable(all); len(loads) > 1 {
		part += "\n" + markdown(loads)
	}
	if !*peersWrite {
		fmt.Printf("\n%s\n", part)
		return
	}
	if len(all) != len(matrix()) || *cellsSystems != "" {
		t.Fatal("-write is for all links and systems")
	}
	page, err := os.ReadFile(document)
	if err == nil {
		err = os.WriteFile(document, []byte(replaceBetween(t, string(page), "links", part)), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// title returns the link for people.
func (c *cellFigures) title() string {
	return fmt.Sprintf("%g kbit/s, %d ms, %.0f %%", c.kbit, c.roundTrip.Milliseconds(), 100*c.loss)
}

// met says whether all figures of a link are as they have to be.
func (c *cellFigures) met() string {
	if c.faults > 0 {
		return "**no**"
	}
	return "yes"
}

// cutTable has a row for each link: how long it took after the cut, and how many bytes.
func cutTable(all []*cellFigures) [][]string {
	rows := [][]string{{
		"link", "TCP, kbit/s", "stale", "due", "herd", "restarted", "leaf node", "Redis", "bytes", "restarted", "disconnections", "met",
	}}
	for _, c := range all {
		row := []string{c.title(), fmt.Sprintf("%.1f", c.link.tcp*8/1000), fmt.Sprint(c.stale)}
		row = append(row, fmt.Sprintf("%.1f s", c.link.due(c.stale*lineSize).Seconds()))
		for _, s := range systems {
			row = append(row, c.cut(s.name, cutFigures.time))
		}
		ratio := func(f cutFigures) string { return fmt.Sprintf("%.2f ×", float64(f.payload)/float64(f.lines)) }
		ended := 0
		for _, f := range c.cuts {
			ended += len(f.disconnections)
		}
		for _, f := range c.loads {
			ended += len(f.disconnections)
		}
		rows = append(rows, append(row, c.cut("herd", ratio), c.cut("restart", ratio), fmt.Sprint(ended), c.met()))
	}
	return rows
}

// cut returns a figure of a system as text, or a dash if it was not measured.
func (c *cellFigures) cut(system string, figure func(cutFigures) string) string {
	if f, ok := c.cuts[system]; ok {
		return figure(f)
	}
	return "–"
}

// loadTable has a row for each link and system that was overloaded.
func loadTable(all []*cellFigures) [][]string {
	rows := [][]string{{"link", "system", "goodput", "median age", "due", "equal afterwards", "due", "p99 before", "p99 meanwhile"}}
	for _, c := range all {
		o := c.overload()
		round := o.round(c.link).Seconds()
		for _, s := range systems {
			f, ok := c.loads[s.name]
			if !ok {
				continue
			}
			before, meanwhile := "–", "–"
			if f.loaded > 0 {
				before, meanwhile = milliseconds(f.quiet), milliseconds(f.loaded)
			}
			rows = append(rows, []string{
				c.title(), s.name, fmt.Sprintf("%.0f %%", 100*f.goodput(c.link, o)),
				fmt.Sprintf("%.1f s", f.age.Seconds()), fmt.Sprintf("%.1f s", 1.5*round),
				until(f.equal, f.late), fmt.Sprintf("%.1f s", round), before, meanwhile,
			})
		}
	}
	return rows
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }
