package importer

import (
	"testing"

	"herd/places"
	"herd/places/importer/pbf"
)

// The middle of a place across the antimeridian is there, not on the other side of the world.
func TestAntimeridian(t *testing.T) {
	island := []string{"name", "Taveuni", "natural", "peninsula", "place", "island"}
	_, osm := imported(t, Config{Input: extract(
		t,
		[]pbf.Object{node(1, -17, 179.8), node(2, -16.6, 180), node(3, -16.8, -179.6), node(4, -17, -180), node(5, -17, 179.2)},
		[]pbf.Object{
			{Kind: pbf.Way, ID: 1, Nodes: []int64{1, 2, 3, 1}, Tags: tags(island...)},
			{Kind: pbf.Way, ID: 2, Nodes: []int64{5, 2, 3, 5}, Tags: tags(island...)},
			{Kind: pbf.Way, ID: 3, Nodes: []int64{3, 4}, Tags: tags(island...)},
		},
	)})
	feature := func(id, coordinates string) string {
		return `{"type":"Feature","id":"` + id + `","properties":{"name":"Taveuni"},"geometry":{"type":"MultiPolygon","coordinates":` + coordinates + `}}`
	}
	_, own := fromText(t, "a.geojson", feature("cut", "[[[[179.8,-17],[180,-16.6],[179.8,-17]]],[[[-180,-16.6],[-179.6,-16.8],[-180,-16.6]]]]")+
		feature("whole", "[[[[-180,-10],[-90,0],[0,0],[90,0],[180,10],[-180,-10]]]]"))
	for _, c := range []struct {
		got  map[string]places.Place
		id   string
		want places.Point
	}{
		{osm, "way/1", places.Point{Lat: -16.8, Lng: -179.9}},
		{osm, "way/2", places.Point{Lat: -16.8, Lng: 179.8}},
		{osm, "way/3", places.Point{Lat: -16.9, Lng: -179.8}},
		{own, "cut", places.Point{Lat: -16.8, Lng: -179.9}},
		{own, "whole", places.Point{}},
	} {
		if at := c.got[c.id].Geometry.Location; at != c.want {
			t.Errorf("%s is at %v, want %v", c.id, at, c.want)
		}
	}
}
