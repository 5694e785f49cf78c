package process

import (
	"context"
	"errors"
	"fmt"

	"herd/configs"
	"herd/places"
	"herd/places/file"
	"herd/places/gazetteer"
	"herd/places/google"
	"herd/places/overpass"
	"herd/places/upstream"
)

// finder returns what answers WHATSAT in this process: the configured provider behind a cache and a fallback, where it has them.
func finder(ctx context.Context, config *configs.Config, watch places.Watch) (places.Finder, error) {
	name := config.Places.Provider
	f, err := Provider(ctx, config, watch)
	if err != nil || name == "gazetteer" {
		return f, err
	}
	f = places.Share(name, f, watch)
	if name == "file" || name == "overpass" { // Google's terms forbid to remember its answers
		f = places.Cache(name, f, watch)
	}
	if config.Places.Fallback == "gazetteer" {
		f = places.Fallback(name, f, "gazetteer", gazetteers(watch), watch)
	}
	return f, nil
}

// Provider returns the configured provider itself, without a cache or a fallback.
func Provider(ctx context.Context, config *configs.Config, watch places.Watch) (places.Finder, error) {
	c := config.Places
	up := upstream.Config{Rate: float64(c.Rate), Watch: watch}
	switch c.Provider {
	case "google", "google-legacy":
		key, err := placesKey(config)
		if err != nil {
			return nil, err
		}
		at := google.Config{Key: key, Endpoint: c.Endpoint, Upstream: up}
		if c.Provider == "google-legacy" {
			return google.NewLegacy(at)
		}
		at.Fields = items(c.Fields)
		return google.New(at)
	case "overpass":
		return overpass.New(overpass.Config{Endpoint: c.Endpoint, Upstream: up})
	case "file":
		own := file.Open(c.File)
		if err := own.Wait(ctx); err != nil { // now, and not for each client
			return nil, err
		}
		return places.Measure("file", own, watch), nil
	default:
		return gazetteers(watch), nil
	}
}

// gazetteers returns the gazetteer, measured.
func gazetteers(watch places.Watch) places.Finder {
	return places.Measure("gazetteer", gazetteer.Open(), watch)
}

// placesKey returns Google's API key.
func placesKey(config *configs.Config) (string, error) {
	key, err := secretText(config.PlacesKey(), "places.key_file", config.Places.KeyFile)
	switch {
	case err != nil:
		return "", err
	case key == "":
		return "", fmt.Errorf("%s needs an API key: put it into the variable HERD_PLACES_KEY, or into a file and name that with --places-key-file",
			config.Places.Provider)
	case !plain(key):
		return "", errors.New("the API key for places has blanks or characters in it that no key has; give the key alone")
	}
	return key, nil
}
