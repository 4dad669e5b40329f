//! The documents: their links lead somewhere, and the index of decisions is complete.

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
    };

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
    }

    /// The documents: those at the top and all below `docs`.
    fn documents() -> Vec<PathBuf> {
        let mut folders = vec![root().join("docs")];
        let mut found: Vec<_> = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).collect();
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
        found
    }

    /// The targets of links within the repository: `path`, `path#heading` or `#heading`.
    fn links(text: &str) -> Vec<&str> {
        let targets = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        targets.filter(|target| !target.contains("://")).collect()
    }

    /// The name by which a link calls a heading.
    fn anchor(heading: &str) -> String {
        let kept = heading.trim_matches(['#', ' ']).to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
    }

    #[test]
    fn links_of_documents_lead_to_files_and_headings() {
        let mut checked = 0;
        for document in documents() {
            let text = fs::read_to_string(&document).unwrap();
            for link in links(&text) {
                let (path, heading) = link.split_once('#').unwrap_or((link, ""));
                let target =
                    if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
                assert!(target.exists(), "{} links to {link}", document.display());
                if !heading.is_empty() {
                    let text = fs::read_to_string(&target).unwrap();
                    let mut headings = text.lines().filter(|line| line.starts_with('#'));
                    let is_there = headings.any(|line| anchor(line) == heading);
                    assert!(is_there, "{} links to {link}", document.display());
                }
                checked += 1;
            }
        }
        assert!(checked > 40, "{checked}");
    }

    #[test]
    fn decisions_are_all_in_their_index() {
        let folder = root().join("docs/decisions");
        let index = fs::read_to_string(folder.join("README.md")).unwrap();
        let index: BTreeSet<_> = links(&index).into_iter().collect();
        let files =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let files: BTreeSet<_> = files.filter(|name| name != "README.md").collect();
        assert_eq!(index, files.iter().map(String::as_str).collect());
        let numbers: Vec<_> =
            files.iter().map(|name| name.split('-').next().unwrap().parse::<usize>().unwrap()).collect();
        assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
    }
}
