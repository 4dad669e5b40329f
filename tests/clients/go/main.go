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
	"strings"
)

var (
	api   = os.Getenv("EDGECHAT_URL") + "/api/v1"
	token string
)

type event struct {
	id, kind string
	data     map[string]any
}

func main() {
	log.SetFlags(0)
	person := `{"email":"net-http@go.example","password":"correct horse battery"}`
	token = expect(201, "POST", "/auth/register", person, nil)["access_token"].(string)

	// Neither this request nor the one that cancels has a body, and none is asked for.
	conversation := expect(201, "POST", "/chat/conversations", "", nil)

	// Sends a message and loses the connection after the first words.
	messages := fmt.Sprintf("/chat/conversations/%s/messages", conversation["id"])
	sent := send("POST", messages, `{"content":"/script hang"}`, map[string]string{"Accept": "text/event-stream"})
	first := read(sent, func(last event) bool { return last.kind != "message.delta" })
	check(kinds(first), "1 turn.started", "2 message.delta")
	path := fmt.Sprintf("/chat/turns/%s", first[0].data["turn_id"])

	// Goes on where it was, as if the words had not arrived, and stops the answer.
	resumed := send("GET", path+"/events", "", map[string]string{"Last-Event-ID": first[0].id})
	rest := read(resumed, func(last event) bool {
		if last.kind == "message.delta" {
			turn := expect(202, "POST", path+"/cancel", "", nil)
			check([]string{turn["id"].(string)}, first[0].data["turn_id"].(string))
		}
		return true
	})
	check(kinds(rest), "2 message.delta", "3 turn.cancelled")
	check([]string{rest[0].data["text"].(string)}, first[1].data["text"].(string))
	expect(204, "GET", path+"/events", "", map[string]string{"Last-Event-ID": rest[1].id})
	fmt.Println("net/http: registered, sent, resumed, cancelled, ended")
}

// read reads events until the stream ends or goesOn does not hold, and closes the connection.
func read(answer *http.Response, goesOn func(event) bool) (events []event) {
	defer answer.Body.Close()
	if answer.StatusCode != 200 {
		text, _ := io.ReadAll(answer.Body)
		log.Fatalf("%s: %s", answer.Status, text)
	}
	var now event
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case field == "id":
			now.id = value
		case field == "event":
			now.kind = value
		case field == "data":
			if err := json.Unmarshal([]byte(value), &now.data); err != nil {
				log.Fatalf("%s: %v", value, err)
			}
		case lines.Text() == "" && now.data != nil:
			events = append(events, now)
			if !goesOn(now) {
				return events
			}
			now = event{}
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	return events
}

func kinds(events []event) (kinds []string) {
	for _, event := range events {
		kinds = append(kinds, event.id+" "+event.kind)
	}
	return kinds
}

func check(found []string, wanted ...string) {
	if strings.Join(found, ", ") != strings.Join(wanted, ", ") {
		log.Fatalf("%q instead of %q", found, wanted)
	}
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
