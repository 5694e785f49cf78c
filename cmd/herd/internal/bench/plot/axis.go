package plot

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Kind is how an axis places its values.
type Kind uint8

// Kinds of axes.
const (
	Linear     Kind = iota // from 0, or the least if that is negative
	Log                    // by decades; what is not positive is not drawn
	Percentile             // values are 1/(1-share), see [Tail], labelled with the share
)

// Tail returns where a share of all, 0 to less than 1, stands on a percentile axis: so that 90 %, 99 % and 99.9 % are equally far apart.
func Tail(share float64) float64 { return 1 / (1 - share) }

// Axis is a dimension of a chart.
type Axis struct {
	Name  string
	Kind  Kind
	Label func(float64) string // of a value; nil: [Number]
}

type tick struct {
	value float64
	label string
}

// scale places values between two edges of the plane.
type scale struct {
	kind     Kind
	low      float64
	high     float64
	from, to float64
	ticks    []tick
}

// scale makes one that has room for all values.
func (a *Axis) scale(values []float64, from, to float64) scale {
	s := scale{kind: a.Kind, low: 0, high: 1, from: from, to: to}
	if a.Kind != Linear {
		s.low, s.high = 1, 10
	}
	if len(values) > 0 {
		s.low, s.high = slices.Min(values), slices.Max(values)
	}
	label := a.Label
	if label == nil {
		label = Number
	}
	var at []float64
	switch a.Kind {
	case Linear:
		at = s.linear()
	case Log:
		at = s.decades()
	case Percentile:
		s.low, s.high = 1, max(10, s.high)
		label = share
		for v := 1.0; v <= s.high; v *= 10 {
			at = append(at, v)
		}
		at = slices.Insert(at, 1, 2)
	}
	for _, v := range at {
		s.ticks = append(s.ticks, tick{v, label(v)})
	}
	return s
}

// linear widens the scale to about six equal steps of a round size.
func (s *scale) linear() (at []float64) {
	s.low = min(0, s.low)
	if s.high <= s.low {
		s.high = s.low + 1
	}
	step := math.Pow(10, math.Floor(math.Log10((s.high-s.low)/3)))
	for _, more := range []float64{2, 2.5, 2} {
		if (s.high-s.low)/step > 6 {
			step *= more
		}
	}
	first, last := math.Floor(s.low/step), math.Ceil(s.high/step-1e-9)
	s.low, s.high = first*step, last*step
	for i := first; i <= last; i++ {
		at = append(at, i*step)
	}
	return at
}

// decades widens the scale to powers of ten, and divides them if they are few.
func (s *scale) decades() (at []float64) {
	low, high := math.Floor(math.Log10(s.low)+1e-9), math.Ceil(math.Log10(s.high)-1e-9)
	if high <= low {
		high = low + 1
	}
	s.low, s.high = math.Pow(10, low), math.Pow(10, high)
	for e := low; e <= high; e++ {
		at = append(at, math.Pow(10, e))
		if high-low <= 2 && e < high {
			at = append(at, 2*math.Pow(10, e), 5*math.Pow(10, e))
		}
	}
	return at
}

func (s scale) has(v float64) bool {
	return !math.IsNaN(v) && !math.IsInf(v, 0) && (s.kind == Linear || v > 0)
}

// at returns the place of a value.
func (s scale) at(v float64) float64 {
	low, high := s.low, s.high
	if s.kind != Linear {
		v, low, high = math.Log(v), math.Log(low), math.Log(high)
	}
	return s.from + (s.to-s.from)*(v-low)/(high-low)
}

// share labels a value of a percentile axis.
func share(v float64) string {
	return strconv.FormatFloat(100*(1-1/v), 'f', max(0, int(math.Round(math.Log10(v)))-2), 64) + " %"
}

// unit is a unit of labels, and its size.
type unit struct {
	size float64
	name string
}

// Number labels a value with at most three digits: 1.5, 250 k, 1 M.
func Number(v float64) string {
	return labelIn(v, unit{1e9, " G"}, unit{1e6, " M"}, unit{1e3, " k"}, unit{1, ""})
}

// Seconds labels a time that is given in seconds: 50 µs, 1.5 ms, 2 s.
func Seconds(v float64) string {
	if v == 0 {
		return "0"
	}
	return labelIn(v, unit{1, " s"}, unit{1e-3, " ms"}, unit{1e-6, " µs"}, unit{1e-9, " ns"})
}

// labelIn labels a value in the largest unit of which it is at least one, rounded, or in the last unit.
func labelIn(v float64, units ...unit) string {
	for _, u := range units[:len(units)-1] {
		if math.Abs(v) >= 0.9995*u.size {
			return short(v/u.size) + u.name
		}
	}
	last := units[len(units)-1]
	return short(v/last.size) + last.name
}

// short writes a number with three digits, or more if it has more before the point.
func short(v float64) string {
	digits := 2
	if size := math.Abs(v); size >= 99.95 {
		digits = 0
	} else if size >= 9.995 {
		digits = 1
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
