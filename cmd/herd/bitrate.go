package main

import (
	"errors"
	"strconv"
	"strings"
)

// bitRate is a number of bits a second, as a flag and as text: 9600, 64k, 1.5M.
type bitRate int

const minBitRate, maxBitRate = 1000, 100_000_000_000

var bitUnits = []struct {
	letter string
	bits   float64
}{{"G", 1e9}, {"M", 1e6}, {"k", 1e3}, {"", 1}}

var errBitRate = errors.New("want bits a second from 1k to 100G, such as 9600, 64k or 1.5M")

// Set parses a rate.
func (r *bitRate) Set(text string) error {
	for _, unit := range bitUnits {
		number, ok := strings.CutSuffix(text, unit.letter)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if bits := n * unit.bits; err == nil && bits >= minBitRate && bits <= maxBitRate {
			*r = bitRate(bits)
			return nil
		}
		return errBitRate
	}
	return errBitRate
}

func (r *bitRate) Type() string { return "BITS" }

// String returns the rate with its unit, or nothing for no rate.
func (r bitRate) String() string {
	for _, unit := range bitUnits {
		if r > 0 && float64(r) >= unit.bits {
			return strconv.FormatFloat(float64(r)/unit.bits, 'f', -1, 64) + " " + unit.letter + "bit/s"
		}
	}
	return ""
}
