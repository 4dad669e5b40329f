//! The text that the user reads when everything is up.

use std::net::SocketAddr;

/// The facts in the banner.
#[derive(Clone, Debug)]
pub(super) struct Banner<'a> {
    /// The API's address.
    pub(super) worker: SocketAddr,
    /// The origin's address.
    pub(super) origin: SocketAddr,
    /// The real Gemini's address, or `None` when it is scripted.
    pub(super) provider: Option<&'a str>,
    /// Sentences to add.
    pub(super) notes: &'a [String],
}

impl Banner<'_> {
    /// The text, with three commands that can be pasted into bash in this order. They need curl and sed.
    pub(super) fn text(&self) -> String {
        let Self { worker, origin, .. } = self;
        let provider = self.provider.map_or_else(
            || "scripted (set GEMINI_API_KEY for the real one)".to_owned(),
            |base| format!("real, at {base}"),
        );
        let notes: String = self.notes.iter().map(|note| ["  note      ", note, "\n"].concat()).collect();
        format!(
            "
EdgeChat is up. Ctrl-C stops it.
  API       http://{worker}/api/v1
  docs      http://{worker}/docs
  origin    http://{origin}
  Gemini    {provider}
  data      .edgechat/ (logs in .edgechat/logs/)
  mailbox   mails and SMS appear here with their codes and links
{notes}
Register, open a conversation, and watch the answer come:

{}

{}

{}
",
            self.register(),
            self.converse(),
            self.send()
        )
    }

    fn register(&self) -> String {
        format!(
            r#"TOKEN=$(curl -sS http://{}/api/v1/auth/register -H 'Content-Type: application/json' -d "{{\"email\":\"me-$RANDOM$RANDOM@example.com\",\"password\":\"correct horse battery staple\"}}" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')"#,
            self.worker
        )
    }

    fn converse(&self) -> String {
        format!(
            r#"CHAT=$(curl -sS http://{}/api/v1/chat/conversations -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{{"title":"Hello"}}' | sed 's/.*"id":"\([^"]*\)".*/\1/')"#,
            self.worker
        )
    }

    fn send(&self) -> String {
        format!(
            r#"curl -sSN http://{}/api/v1/chat/conversations/$CHAT/messages -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -H 'Accept: text/event-stream' -d '{{"content":"Tell me something about the sea."}}'"#,
            self.worker
        )
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn banner(provider: Option<&str>) -> Banner<'_> {
        Banner {
            worker: SocketAddr::from(([127, 0, 0, 1], 8787)),
            origin: SocketAddr::from(([127, 0, 0, 1], 8080)),
            provider,
            notes: &[],
        }
    }

    #[test]
    fn banner_has_addresses_and_provider() {
        let text = banner(None).text();
        for part in ["http://127.0.0.1:8787/docs", "http://127.0.0.1:8080", "scripted", ".edgechat/"] {
            assert!(text.contains(part), "{part}");
        }
        assert!(banner(Some("https://base")).text().contains("real, at https://base"));
        let notes = ["a limit is raised".to_owned()];
        assert!(Banner { notes: &notes, ..banner(None) }.text().contains("note      a limit is raised"));
    }

    /// Runs the three lines with a `curl` that answers from a script, and gives the arguments it got last.
    fn pasted(answers: [&str; 3]) -> String {
        let banner = banner(None);
        let folder = tempfile::tempdir().unwrap();
        let curl = format!(
            "curl() {{ printf '%s\\n' \"$@\" > '{0}/last'; case \"$*\" in *register*) echo '{1}';; *messages*) echo \
             '{3}';; *) echo '{2}';; esac; }}",
            folder.path().display(),
            answers[0],
            answers[1],
            answers[2]
        );
        let script = [curl, banner.register(), banner.converse(), banner.send()].join("\n");
        assert!(Command::new("bash").args(["-c", &script]).output().unwrap().status.success());
        std::fs::read_to_string(folder.path().join("last")).unwrap()
    }

    #[test]
    fn three_lines_hand_token_and_conversation_on() {
        let tokens = r#"{"access_token":"abc.def","session_id":"s1","user":{"id":"u1"}}"#;
        let conversation = r#"{"id":"c1","title":"Hello"}"#;
        let last = pasted([tokens, conversation, "{}"]);
        assert!(last.contains("http://127.0.0.1:8787/api/v1/chat/conversations/c1/messages\n"), "{last}");
        assert!(last.contains("Authorization: Bearer abc.def\n"), "{last}");
        assert!(last.contains("Accept: text/event-stream\n"), "{last}");
    }
}
