// SPDX-License-Identifier: Apache-2.0

// Renders a Helm chart as `helm template` does, for tests on machines without Helm: the same template language,
// function library (sprig) and YAML library, with Helm's own functions and objects as its documentation tells.
// Not in it, since our chart uses none: sub-charts, CRDs, library charts, getHostByName.
//
//	helmrender CHART [--namespace N] [--release R] [--values FILE]... [--notes]
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

type files map[string][]byte

func (f files) Get(name string) string { return string(f[name]) }

func (f files) Lines(name string) []string {
	return strings.Split(strings.TrimSuffix(string(f[name]), "\n"), "\n")
}

type list []string

func (l *list) String() string         { return strings.Join(*l, ",") }
func (l *list) Set(value string) error { *l = append(*l, value); return nil }

func fromYAML(text string) map[string]interface{} {
	out := map[string]interface{}{}
	if err := yaml.Unmarshal([]byte(text), &out); err != nil {
		out["Error"] = err.Error()
	}
	return out
}

func toYAML(value interface{}) (string, error) {
	data, err := yaml.Marshal(value)
	return strings.TrimSuffix(string(data), "\n"), err
}

func toJSON(value interface{}) (string, error) {
	data, err := json.Marshal(value)
	return string(data), err
}

func required(message string, value interface{}) (interface{}, error) {
	if text, ok := value.(string); value == nil || (ok && text == "") {
		return nil, errors.New(message)
	}
	return value, nil
}

func engine() *template.Template {
	all := template.New("chart").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	delete(functions, "env") // as Helm: charts see nothing of the machine
	delete(functions, "expandenv")
	functions["toYaml"] = toYAML
	functions["fromYaml"] = fromYAML
	functions["toJson"] = toJSON
	functions["required"] = required
	functions["lookup"] = func(string, string, string, string) map[string]interface{} {
		return map[string]interface{}{}
	}
	functions["include"] = func(name string, data interface{}) (string, error) {
		var out bytes.Buffer
		err := all.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	functions["tpl"] = func(text string, data interface{}) (string, error) {
		clone, err := all.Clone()
		if err != nil {
			return "", err
		}
		if clone, err = clone.New("tpl").Parse(text); err != nil {
			return "", err
		}
		var out bytes.Buffer
		err = clone.Execute(&out, data)
		return out.String(), err
	}
	return all.Funcs(functions)
}

func readYAML(path string) (map[string]interface{}, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := map[string]interface{}{}
	if err := yaml.UnmarshalStrict(data, &out); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

// Maps are merged, all else is replaced, null removes: as Helm does it.
func overlay(base, over map[string]interface{}) {
	for key, value := range over {
		inner, isMap := value.(map[string]interface{})
		below, wasMap := base[key].(map[string]interface{})
		switch {
		case value == nil:
			delete(base, key)
		case isMap && wasMap:
			overlay(below, inner)
		default:
			base[key] = value
		}
	}
}

func chartFiles(chart string) (files, error) {
	found := files{}
	err := filepath.Walk(chart, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		name, err := filepath.Rel(chart, path)
		if err == nil {
			found[name], err = os.ReadFile(path)
		}
		return err
	})
	return found, err
}

// What Chart.yaml says, under the names that templates use.
func chartObject(chart map[string]interface{}) map[string]interface{} {
	out := map[string]interface{}{}
	for key, value := range chart {
		out[strings.ToUpper(key[:1])+key[1:]] = value
	}
	return out
}

func run() error {
	if len(os.Args) < 2 {
		return errors.New("usage: helmrender CHART [--namespace N] [--release R] [--values FILE]... [--notes]")
	}
	chart := os.Args[1]
	options := flag.NewFlagSet("helmrender", flag.ContinueOnError)
	namespace := options.String("namespace", "default", "")
	release := options.String("release", "release-name", "")
	notes := options.Bool("notes", false, "")
	var valueFiles list
	options.Var(&valueFiles, "values", "")
	if err := options.Parse(os.Args[2:]); err != nil {
		return err
	}
	values, err := readYAML(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return err
	}
	for _, file := range valueFiles {
		over, err := readYAML(file)
		if err != nil {
			return err
		}
		overlay(values, over)
	}
	about, err := readYAML(filepath.Join(chart, "Chart.yaml"))
	if err != nil {
		return err
	}
	found, err := chartFiles(chart)
	if err != nil {
		return err
	}
	all := engine()
	var names []string
	for name, data := range found {
		if !strings.HasPrefix(name, "templates/") {
			continue
		}
		if _, err := all.New(name).Parse(string(data)); err != nil {
			return err
		}
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		isNotes := strings.HasSuffix(name, "NOTES.txt")
		if strings.HasPrefix(filepath.Base(name), "_") || (isNotes && !*notes) {
			continue
		}
		data := map[string]interface{}{
			"Values": values,
			"Chart":  chartObject(about),
			"Files":  found,
			"Release": map[string]interface{}{
				"Name": *release, "Namespace": *namespace, "Service": "Helm",
				"IsInstall": true, "IsUpgrade": false, "Revision": 1,
			},
			"Template": map[string]interface{}{"Name": name, "BasePath": "templates"},
		}
		var out bytes.Buffer
		if err := all.ExecuteTemplate(&out, name, data); err != nil {
			return err
		}
		// Helm prints nil values of maps as nothing.
		text := strings.ReplaceAll(out.String(), "<no value>", "")
		if strings.TrimSpace(text) != "" && isNotes == *notes {
			fmt.Printf("---\n# Source: %s\n%s\n", name, text)
		}
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "helmrender:", err)
		os.Exit(1)
	}
}
