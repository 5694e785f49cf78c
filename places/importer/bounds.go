package importer

// bounds encloses points, whose coordinates are in a unit of T.
type bounds[T int64 | float64] struct {
	any            bool // there are some
	minLat, maxLat T
	minLng, maxLng T
	minFar, maxFar T // of the longitudes if those west of Greenwich follow 180°, for what lies across the antimeridian
}

// add extends b by a point. A turn is 360°.
func (b *bounds[T]) add(lat, lng, turn T) {
	far := lng
	if far < 0 {
		far += turn
	}
	b.join(bounds[T]{true, lat, lat, lng, lng, far, far})
}

// join extends b by what o encloses.
func (b *bounds[T]) join(o bounds[T]) {
	switch {
	case !o.any:
	case !b.any:
		*b = o
	default:
		b.minLat, b.maxLat = min(b.minLat, o.minLat), max(b.maxLat, o.maxLat)
		b.minLng, b.maxLng = min(b.minLng, o.minLng), max(b.maxLng, o.maxLng)
		b.minFar, b.maxFar = min(b.minFar, o.minFar), max(b.maxFar, o.maxFar)
	}
}

// middle returns the middle of the box. That is across the antimeridian if it is narrower there, and not half the world: an island
// there is not in Africa.
func (b *bounds[T]) middle(turn T) (lat, lng T) {
	lat = b.minLat + (b.maxLat-b.minLat)/2
	if far := b.maxFar - b.minFar; far >= b.maxLng-b.minLng || far >= turn/2 {
		return lat, b.minLng + (b.maxLng-b.minLng)/2
	}
	lng = b.minFar + (b.maxFar-b.minFar)/2
	if lng > turn/2 {
		lng -= turn
	}
	return lat, lng
}
