package main

import (
	"math"
	"reflect"
	"testing"

	"herd/cmd/herd/internal/bench/plot"
	"herd/node/flood/simulate"
)

// Numbers have a column each, and share them when they are many; all are counted.
func TestHistogram(t *testing.T) {
	if got, want := histogram([]int{0, 0, 3, 0, 5}), []plot.Column{{Name: "2", Number: 3}, {Name: "3"}, {Name: "4", Number: 5}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
	if got := histogram([]int{0, 0}); got != nil {
		t.Errorf("of nothing: %v", got)
	}
	many := make([]int, 301)
	many[2], many[20], many[300] = 1, 2, 4
	got := histogram(many)
	if len(got) != 8 || got[0] != (plot.Column{Name: "2–39", Number: 3}) || got[7] != (plot.Column{Name: "268–300", Number: 4}) {
		t.Errorf("%v", got)
	}
}

// Reports that were superseded have no time, and are a share of those that were made about then.
func TestOverTime(t *testing.T) {
	toLast, superseded := overTime(&simulate.Detail{Every: 2, ToLast: []float64{3, math.NaN()}})
	want := [][2]float64{{1, 3}}
	if !reflect.DeepEqual(toLast[0].Points, want) || !reflect.DeepEqual(toLast[1].Points, want) ||
		!reflect.DeepEqual(superseded.Points, [][2]float64{{1, 0}, {3, 100}}) {
		t.Errorf("%v, %v", toLast, superseded)
	}
	many := make([]float64, 1000)
	for i := range many {
		many[i] = float64(i % 17)
	}
	toLast, superseded = overTime(&simulate.Detail{Every: 1, ToLast: many})
	if n := len(superseded.Points); n != 59 || toLast[0].Points[0] != [2]float64{8.5, 8} || toLast[1].Points[0] != [2]float64{8.5, 16} {
		t.Errorf("%d parts, %v", n, toLast)
	}
}
