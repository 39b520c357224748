package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

// extend serves over TLS what kube-apiserver calls: a webhook that refuses everything, and an API.
func extend(address, certificate, key string) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	answer := func(reply http.ResponseWriter, value any) {
		reply.Header().Set("Content-Type", "application/json")
		json.NewEncoder(reply).Encode(value)
	}
	http.HandleFunc("/webhook", func(reply http.ResponseWriter, asked *http.Request) {
		var review struct {
			APIVersion, Kind string
			Request          struct{ UID string }
		}
		if err := json.NewDecoder(asked.Body).Decode(&review); err != nil {
			http.Error(reply, err.Error(), http.StatusBadRequest)
			return
		}
		answer(reply, map[string]any{
			"apiVersion": review.APIVersion,
			"kind":       review.Kind,
			"response": map[string]any{
				"uid":     review.Request.UID,
				"allowed": false,
				"status":  map[string]string{"message": "refused by " + name},
			},
		})
	})
	http.HandleFunc("/apis/stepkube.test/v1", func(reply http.ResponseWriter, _ *http.Request) {
		answer(reply, map[string]any{
			"apiVersion":   "v1",
			"kind":         "APIResourceList",
			"groupVersion": "stepkube.test/v1",
			"resources":    []any{},
		})
	})
	http.HandleFunc("/apis/stepkube.test/v1/name", func(reply http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(reply, name)
	})
	fmt.Println("extending", address)
	return http.ListenAndServeTLS(address, certificate, key, nil)
}
