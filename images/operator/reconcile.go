package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

const (
	finalizer = "k8s101.test/published"
	applied   = "?fieldManager=site-operator&force=true"
)

// A site is what the operator reads of one; the spec may have more fields than it knows.
type site struct {
	Metadata struct {
		Name, UID         string
		Generation        int64
		DeletionTimestamp string
		Finalizers        []string
	}
	Spec   map[string]any
	Status struct{ Conditions []condition }
}

type condition struct {
	Type               string `json:"type"`
	Status             string `json:"status"`
	Reason             string `json:"reason"`
	Message            string `json:"message"`
	LastTransitionTime string `json:"lastTransitionTime"`
}

type deployment struct {
	Metadata struct{ Generation int64 }
	Status   struct {
		ObservedGeneration                       int64
		Replicas, UpdatedReplicas, ReadyReplicas int64
	}
}

type operator struct {
	api       *api
	manifests string
	said      map[string]string
}

// say logs what has happened to a site, unless it was the last thing that was said of it.
func (o *operator) say(name, text string) {
	if o.said == nil {
		o.said = map[string]string{}
	}
	if o.said[name] == text {
		return
	}
	o.said[name] = text
	if name != "" {
		text = name + ": " + text
	}
	log.Print(text)
}

// reconcileAll looks at every site, and returns an error if one of them needs another look soon.
func (o *operator) reconcileAll(ctx context.Context) error {
	var all struct{ Items []site }
	if err := o.api.call(ctx, http.MethodGet, o.api.sites(""), "", nil, &all); err != nil {
		return err
	}
	var failed error
	for _, s := range all.Items {
		if err := o.reconcile(ctx, s); err != nil {
			o.say(s.Metadata.Name, err.Error())
			failed = errors.New("some sites are not as they should be")
		}
	}
	return failed
}

// reconcile makes everything as a site wants it. Done twice, it is the same.
func (o *operator) reconcile(ctx context.Context, s site) error {
	name := s.Metadata.Name
	if s.Metadata.DeletionTimestamp != "" {
		return o.release(ctx, s)
	}
	if !slices.Contains(s.Metadata.Finalizers, finalizer) {
		if err := o.finalizers(ctx, name, append(s.Metadata.Finalizers, finalizer)); err != nil {
			return err
		}
	}
	if err := o.makeKey(ctx, s); err != nil {
		return err
	}
	if err := o.apply(ctx, "site-service.yaml", o.api.core("services", "/"+name), s, nil); err != nil {
		return err
	}
	var found deployment
	if err := o.apply(ctx, "site-deployment.yaml", o.api.deployments("/"+name), s, &found); err != nil {
		return err
	}
	return o.report(ctx, s, found)
}

// report writes the status of a site, and publishes its host once all its replicas are ready.
func (o *operator) report(ctx context.Context, s site, found deployment) error {
	seen, name := found.Status, s.Metadata.Name
	wanted := int64(number(s.Spec["replicas"]))
	ready := seen.ObservedGeneration == found.Metadata.Generation &&
		seen.UpdatedReplicas == wanted && seen.ReadyReplicas == wanted && seen.Replicas == wanted
	now := condition{"Ready", "False", "Progressing", fmt.Sprintf("%d of %d replicas ready", seen.ReadyReplicas, wanted), ""}
	if ready {
		now.Status, now.Reason = "True", "Complete"
		if err := o.publish(ctx, text(s.Spec["host"]), name); err != nil {
			return err
		}
	}
	now.LastTransitionTime = time.Now().UTC().Format(time.RFC3339)
	for _, before := range s.Status.Conditions {
		if before.Type == now.Type && before.Status == now.Status {
			now.LastTransitionTime = before.LastTransitionTime
		}
	}
	o.say(name, now.Message)
	return o.patch(ctx, o.api.sites("/"+name+"/status"), map[string]any{"status": map[string]any{
		"observedGeneration": s.Metadata.Generation,
		"replicas":           seen.Replicas,
		"readyReplicas":      seen.ReadyReplicas,
		"selector":           "site=" + name,
		"conditions":         []condition{now},
	}})
}

// release undoes what no owner reference reaches, and lets the site go.
func (o *operator) release(ctx context.Context, s site) error {
	if !slices.Contains(s.Metadata.Finalizers, finalizer) {
		return nil
	}
	if err := o.publish(ctx, text(s.Spec["host"]), nil); err != nil {
		return err
	}
	o.say(s.Metadata.Name, "no longer published")
	left := slices.DeleteFunc(s.Metadata.Finalizers, func(name string) bool { return name == finalizer })
	return o.finalizers(ctx, s.Metadata.Name, left)
}

// makeKey creates the Secret of a site. One that exists stays, so no right to read Secrets is needed.
func (o *operator) makeKey(ctx context.Context, s site) error {
	random := make([]byte, 32)
	_, _ = rand.Read(random)
	owner := map[string]any{
		"apiVersion": "k8s101.test/v1", "kind": "Site", "name": s.Metadata.Name, "uid": s.Metadata.UID, "controller": true,
	}
	secret, _ := json.Marshal(map[string]any{
		"metadata":   map[string]any{"name": s.Metadata.Name + "-key", "ownerReferences": []any{owner}},
		"stringData": map[string]string{"key": hex.EncodeToString(random)},
	})
	err := o.api.call(ctx, http.MethodPost, o.api.core("secrets", ""), jsonFormat, secret, nil)
	var told refusal
	if errors.As(err, &told) && told.status == http.StatusConflict {
		return nil
	}
	return err
}

func (o *operator) finalizers(ctx context.Context, name string, all []string) error {
	return o.patch(ctx, o.api.sites("/"+name), map[string]any{"metadata": map[string]any{"finalizers": all}})
}

func (o *operator) publish(ctx context.Context, host string, name any) error {
	return o.patch(ctx, o.api.core("configmaps", "/names"), map[string]any{"data": map[string]any{host: name}})
}

func (o *operator) patch(ctx context.Context, path string, change any) error {
	body, err := json.Marshal(change)
	if err != nil {
		return err
	}
	return o.api.call(ctx, http.MethodPatch, path, mergeFormat, body, nil)
}

// apply fills in a manifest and applies it on the server's side.
func (o *operator) apply(ctx context.Context, file, path string, s site, into any) error {
	manifest, err := os.ReadFile(filepath.Join(o.manifests, file))
	if err != nil {
		return err
	}
	filled := placeholder.ReplaceAllStringFunc(string(manifest), func(found string) string {
		switch word := found[1:]; word {
		case "name":
			return s.Metadata.Name
		case "uid":
			return s.Metadata.UID
		default:
			if value, known := s.Spec[word]; known {
				return text(value)
			}
			return found
		}
	})
	return o.api.call(ctx, http.MethodPatch, path+applied, applyFormat, []byte(filled), into)
}

var placeholder = regexp.MustCompile(`\$[a-z]+`)

// text returns a field of a site as it stands in a manifest.
func text(value any) string {
	if word, ok := value.(string); ok {
		return word
	}
	written, _ := json.Marshal(value)
	return string(written)
}

func number(value any) float64 {
	found, _ := value.(float64)
	return found
}
