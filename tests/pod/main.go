// Command pod is all that the images of the tests contain: a server, a client and small tools.
//
// It is static, so that an image needs no other file, and acts as tar(1) under that name.
package main

import (
	"archive/tar"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const usage = "usage: pod pause | serve ADDRESS | extend ADDRESS CERTIFICATE KEY | get URL... | cat FILE... | write FILE TEXT |" +
	" rm FILE | echo | eat MEBIBYTES | exit CODE [TEXT]"

func main() {
	log.SetFlags(0)
	run := pod
	if filepath.Base(os.Args[0]) == "tar" {
		run = unpackOrPack
	}
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func pod(words []string) error {
	if len(words) == 0 {
		return errors.New(usage)
	}
	verb, rest := words[0], words[1:]
	switch {
	case verb == "pause":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
		<-stop
		return nil
	case verb == "echo":
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	case verb == "get":
		return get(rest)
	case verb == "cat":
		return cat(rest)
	case verb == "serve" && len(rest) == 1:
		return serve(rest[0])
	case verb == "extend" && len(rest) == 3:
		return extend(rest[0], rest[1], rest[2])
	case verb == "write" && len(rest) == 2:
		return os.WriteFile(rest[0], []byte(rest[1]), 0o644)
	case verb == "rm" && len(rest) == 1:
		return os.Remove(rest[0])
	case verb == "eat" && len(rest) == 1:
		return eat(rest[0])
	case verb == "exit" && len(rest) > 0:
		code, err := strconv.Atoi(rest[0])
		if err == nil {
			fmt.Println(strings.Join(rest[1:], " "))
			os.Exit(code)
		}
		return err
	}
	return errors.New(usage)
}

// serve answers / with the host's name, /env/NAME with a variable and /file/PATH with a file.
func serve(address string) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	http.HandleFunc("/", func(reply http.ResponseWriter, _ *http.Request) { fmt.Fprintln(reply, name) })
	http.HandleFunc("/env/", func(reply http.ResponseWriter, asked *http.Request) {
		fmt.Fprintln(reply, os.Getenv(strings.TrimPrefix(asked.URL.Path, "/env/")))
	})
	http.Handle("/file/", http.StripPrefix("/file/", http.FileServer(http.Dir("/"))))
	fmt.Println("serving", address)
	return http.ListenAndServe(address, nil)
}

// get prints the answers; the certificates of servers are tested elsewhere.
func get(urls []string) error {
	client := http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}
	for _, url := range urls {
		answer, err := client.Get(url)
		if err != nil {
			return err
		}
		if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
			return err
		}
		answer.Body.Close()
	}
	return nil
}

func cat(paths []string) error {
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		os.Stdout.Write(data)
	}
	return nil
}

// eat touches every page of so much memory, then waits.
func eat(words string) error {
	mebibytes, err := strconv.Atoi(words)
	if err != nil {
		return err
	}
	memory := make([]byte, mebibytes<<20)
	for at := 0; at < len(memory); at += 4096 {
		memory[at] = 1
	}
	fmt.Println("ate", len(memory))
	return pod([]string{"pause"})
}

// unpackOrPack does what kubectl cp asks of tar: `cf - FILE` and `xmf - -C FOLDER`.
func unpackOrPack(words []string) error {
	mode := strings.TrimPrefix(words[0], "-")
	last := words[len(words)-1]
	if strings.HasPrefix(mode, "x") {
		folder := "."
		if len(words) > 2 {
			folder = last
		}
		return unpack(folder)
	}
	data, err := os.ReadFile(last)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(os.Stdout)
	name := strings.TrimPrefix(last, "/")
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
		return err
	}
	if _, err := archive.Write(data); err != nil {
		return err
	}
	return archive.Close()
}

func unpack(folder string) error {
	archive := tar.NewReader(os.Stdin)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, header.Name), data, 0o644); err != nil {
			return err
		}
	}
}
