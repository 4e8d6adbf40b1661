package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/sync/errgroup"
)

// client fetches files, on one connection after the other.
type client struct {
	config    *tls.Config
	downloads string
	alpn      string
}

func runClient(arguments []string) error {
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	certs := certificateFlag(flags)
	downloads := flags.String("downloads", "/downloads", "where files go")
	alpn := flags.String("alpn", http09, "hq-interop or h3")
	each := flags.Bool("each", false, "a connection for every file")
	resume := flags.Bool("resume", false, "the first file on one connection, the others on a resumed one")
	flags.Parse(arguments)

	urls := flags.Args()
	if len(urls) == 0 {
		return fmt.Errorf("no URL")
	}
	pem, err := os.ReadFile(path.Join(*certs, "ca.pem"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("no certificate in ca.pem")
	}
	log, err := keyLog()
	if err != nil {
		return err
	}
	tickets := make(cache, 8)
	c := client{
		&tls.Config{
			RootCAs: roots, NextProtos: []string{*alpn}, KeyLogWriter: log, ServerName: "server",
			ClientSessionCache: tickets,
		}, *downloads, *alpn,
	}
	switch {
	case *each:
		for _, one := range urls {
			if err := c.visit([]string{one}, nil); err != nil {
				return err
			}
		}
		return nil
	case *resume:
		if err := c.visit(urls[:1], tickets); err != nil {
			return err
		}
		return c.visit(urls[1:], nil)
	default:
		return c.visit(urls, nil)
	}
}

// visit fetches files on a connection of their own; with tickets, it stays until one has come.
func (c *client) visit(urls []string, tickets cache) error {
	first, err := url.Parse(urls[0])
	if err != nil {
		return err
	}
	connection, err := quic.DialAddr(context.Background(), first.Host, c.config, quicConfig())
	if err != nil {
		return err
	}
	defer connection.CloseWithError(0, "")
	fetch := func(one string) (io.Reader, error) { return fetchHTTP09(connection, one) }
	if c.alpn != http09 {
		browser := &http3.SingleDestinationRoundTripper{Connection: connection}
		fetch = func(one string) (io.Reader, error) { return fetchHTTP3(browser, one) }
	}
	var group errgroup.Group
	for _, one := range urls {
		// Without a module, Go still has one variable for the whole loop.
		one := one
		group.Go(func() error {
			body, err := fetch(one)
			if err != nil {
				return err
			}
			file, err := os.Create(path.Join(c.downloads, path.Base(one)))
			if err != nil {
				return err
			}
			defer file.Close()
			_, err = io.Copy(file, body)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if tickets != nil {
		return tickets.wait()
	}
	return nil
}

func fetchHTTP09(connection quic.Connection, one string) (io.Reader, error) {
	parsed, err := url.Parse(one)
	if err != nil {
		return nil, err
	}
	stream, err := connection.OpenStreamSync(context.Background())
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(stream, "GET %s\r\n", parsed.Path); err != nil {
		return nil, err
	}
	return stream, stream.Close()
}

func fetchHTTP3(browser http.RoundTripper, one string) (io.Reader, error) {
	request, err := http.NewRequest(http.MethodGet, one, nil)
	if err != nil {
		return nil, err
	}
	response, err := browser.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d", one, response.StatusCode)
	}
	return response.Body, nil
}

// cache holds the newest session ticket.
type cache chan *tls.ClientSessionState

func (c cache) Get(string) (*tls.ClientSessionState, bool) {
	select {
	case state := <-c:
		return state, true
	default:
		return nil, false
	}
}

func (c cache) Put(_ string, state *tls.ClientSessionState) {
	select {
	case c <- state:
	default:
	}
}

// wait returns once there is a ticket.
func (c cache) wait() error {
	select {
	case state := <-c:
		c <- state
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("the server sent no session ticket")
	}
}
