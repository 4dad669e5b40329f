// Go's net/http uses the API as its documentation says, without a word about EdgeChat.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"
)

var (
	api   = os.Getenv("EDGECHAT_URL") + "/api/v1"
	token string
)

func main() {
	log.SetFlags(0)
	person := `{"email":"net-http@go.example","password":"correct horse battery"}`
	token = expect(201, "POST", "/auth/register", person, nil)["access_token"].(string)

	// Neither of these two sends a body, and none is asked for.
	conversation := expect(201, "POST", "/chat/conversations", "", nil)
	turn := expect(202, "POST", fmt.Sprintf("/chat/conversations/%s/messages", conversation["id"]),
		`{"content":"/script hang"}`, map[string]string{"Prefer": "respond-async"})
	path := fmt.Sprintf("/chat/turns/%s", turn["id"])

	answer := send("GET", path+"/events", "", map[string]string{"Accept": "text/event-stream"})
	defer answer.Body.Close()
	var events []string
	var last string
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if id, is := strings.CutPrefix(lines.Text(), "id:"); is {
			last = strings.TrimSpace(id)
		} else if event, is := strings.CutPrefix(lines.Text(), "event:"); is {
			events = append(events, strings.TrimSpace(event))
			if events[len(events)-1] == "message.delta" {
				expect(202, "POST", path+"/cancel", "", nil)
			}
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	wanted := []string{"turn.started", "message.delta", "turn.cancelled"}
	if !slices.Equal(events, wanted) || last != "3" {
		log.Fatalf("%v, the last is %s", events, last)
	}
	expect(204, "GET", path+"/events", "", map[string]string{"Last-Event-ID": last})
	fmt.Println("net/http: registered, sent, followed, cancelled, ended")
}

func expect(status int, method, path, body string, headers map[string]string) map[string]any {
	answer := send(method, path, body, headers)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != status {
		log.Fatalf("%s %s: %s %s %v", method, path, answer.Status, text, err)
	}
	var object map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &object); err != nil {
			log.Fatalf("%s %s: %s: %v", method, path, text, err)
		}
	}
	return object
}

func send(method, path, body string, headers map[string]string) *http.Response {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request, err := http.NewRequest(method, api+path, reader)
	if err != nil {
		log.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	return answer
}
