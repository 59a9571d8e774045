//! The command of one consumer process, as the user wrote it.

use std::net::SocketAddr;

/// What stands for the number of a process.
const NUMBER: &str = "{n}";

/// A command in which `{n}` stands for the number of the process: 0 for the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessCommand(Vec<String>);

/// Why a command cannot be that of several processes of one group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Two of them would use one folder.
    #[error(
        "each process needs a store of its own: write its number, {{n}}, into the path, as in --store state/{{n}}; or --max 1"
    )]
    SharedStore,
    /// Two of them would listen at one address.
    #[error(
        "each process needs an address of its own: write its number, {{n}}, into the port, as in --http 127.0.0.1:946{{n}}; \
         or port 0"
    )]
    SharedAddress,
    /// The last of them would have none.
    #[error(
        "of {max} processes the last would have --http {address}, which is no address: leave room in the port, as in 127.0.0.1:95{{n}}, or say port 0"
    )]
    NoAddress {
        /// How many there may be.
        max: u32,
        /// What it would be told.
        address: String,
    },
    /// They would end, and be started again.
    #[error("a process with --until-end ends by itself, and would be started again: leave it out")]
    EndsByItself,
    /// They would read something else than what the lag is asked of.
    #[error(
        "the lag is asked of {what} {asked}, but the command reads {read}: give --{what} the same value on both sides of --"
    )]
    Differs {
        /// Place, topic or group.
        what: &'static str,
        /// Which one the autoscaler looks at.
        asked: String,
        /// Which one the consumers have.
        read: String,
    },
}

impl ProcessCommand {
    /// The command of up to `max` processes that read a topic of a place as a group; topic and group may be the usual ones.
    ///
    /// # Errors
    /// If several processes, or these processes, cannot be run by it.
    pub fn new(
        words: Vec<String>,
        from: &str,
        topic: &str,
        group: Option<&str>,
        max: u32,
    ) -> Result<Self, CommandError> {
        let command = Self(words);
        if command.0.iter().any(|word| word == "--until-end") {
            return Err(CommandError::EndsByItself);
        }
        let numbered = |value: Option<&str>| match value {
            Some(value) => value.contains(NUMBER),
            // A script may give it.
            None => command.0.iter().any(|word| word.contains(NUMBER)),
        };
        if max > 1 && !numbered(command.value("--store")) {
            return Err(CommandError::SharedStore);
        }
        let http = command.value("--http");
        if max > 1 && http.is_some_and(|http| !http.contains(NUMBER) && !http.ends_with(":0")) {
            return Err(CommandError::SharedAddress);
        }
        let last = |http: &str| http.replace(NUMBER, &(max.max(1) - 1).to_string());
        if let Some(address) = http.map(last).filter(|http| http.parse::<SocketAddr>().is_err()) {
            return Err(CommandError::NoAddress { max, address });
        }
        // Brokers may be named in several ways; what stands before their topics' names not.
        let read = command.value("--from").filter(|read| topics_of(read) != topics_of(from)).unwrap_or(from);
        let pairs = [
            ("from", Some(from), Some(read)),
            ("topic", Some(topic), command.value("--topic").or(Some("events"))),
            ("group", group, command.value("--group")),
        ];
        // A script may say what it reads itself.
        let says_all = command.value("--store").is_some();
        let differs = pairs.into_iter().find(|(_, asked, read)| says_all && asked != read);
        if let Some((what, asked, read)) = differs {
            let named = |value: Option<&str>| value.map_or("the usual one".to_owned(), |v| format!("`{v}`"));
            return Err(CommandError::Differs { what, asked: named(asked), read: named(read) });
        }
        Ok(command)
    }

    /// The words of the process of a number.
    #[must_use]
    pub fn of(&self, number: u32) -> Vec<String> {
        let number = number.to_string();
        self.0.iter().map(|word| word.replace(NUMBER, &number)).collect()
    }

    /// Where the process of a number serves its metrics, if the command says so.
    #[must_use]
    pub fn address_of(&self, number: u32) -> Option<SocketAddr> {
        let address: SocketAddr = self.value("--http")?.replace(NUMBER, &number.to_string()).parse().ok()?;
        (address.port() != 0).then_some(address)
    }

    /// The value of an option: `--name value` or `--name=value`.
    fn value(&self, name: &str) -> Option<&str> {
        let given = self.0.iter().position(|word| word == name).and_then(|at| self.0.get(at + 1));
        let joined = || self.0.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        given.map(String::as_str).or_else(joined)
    }
}

/// What the names of a place's topics begin with.
fn topics_of(place: &str) -> &str {
    place.split_once('/').map_or("", |(_, prefix)| prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "kafka:b:1";

    fn command(words: &str, max: u32) -> Result<ProcessCommand, CommandError> {
        ProcessCommand::new(words.split(' ').map(str::to_owned).collect(), FROM, "events", None, max)
    }

    #[test]
    fn each_process_has_its_number_wherever_it_is_written() {
        let command =
            command("consumer --store /state/{n} --http=127.0.0.1:946{n} --memory {n}{n}", 3).unwrap();
        assert_eq!(
            command.of(2),
            ["consumer", "--store", "/state/2", "--http=127.0.0.1:9462", "--memory", "22"]
        );
        assert_eq!(command.address_of(1), Some("127.0.0.1:9461".parse().unwrap()));
        assert_eq!(command.address_of(10), None, "no port is so large");
    }

    #[test]
    fn what_processes_cannot_share_is_refused_with_what_to_write() {
        let refused = |words: &str, max| command(words, max).unwrap_err().to_string();
        for store in ["--store /state", "--store=/state", "--store /state --memory {n}", ""] {
            let said = refused(&format!("consumer {store}"), 2);
            assert!(said.contains("--store state/{n}"), "{said}");
        }
        command("consumer --store /state", 1).unwrap();
        command("sh -c run\\ {n}", 4).unwrap();
        let said = refused("consumer --store /s/{n} --http 127.0.0.1:9464", 2);
        assert!(said.contains("--http 127.0.0.1:946{n}"), "{said}");
        command("consumer --store /s/{n} --http 127.0.0.1:0", 2).unwrap();
        command("consumer --store /s/{n} --http 127.0.0.1:946{n}", 10).unwrap();
        let said = refused("consumer --store /s/{n} --http 127.0.0.1:946{n}", 11);
        assert!(said.contains("127.0.0.1:94610, which is no address"), "{said}");
        assert_eq!(command("consumer --store s --until-end", 1), Err(CommandError::EndsByItself));
    }

    #[test]
    fn the_lag_is_that_of_what_the_processes_read() {
        let new = |words: &str, topic: &str, group: Option<&str>| {
            ProcessCommand::new(words.split(' ').map(str::to_owned).collect(), FROM, topic, group, 2)
        };
        new("consumer --store {n} --topic clicks --group g", "clicks", Some("g")).unwrap();
        new("consumer --store {n} --topic=events", "events", None).unwrap();
        let said = new("consumer --store {n} --group g", "events", None).unwrap_err().to_string();
        assert!(said.contains("group the usual one") && said.contains("reads `g`"), "{said}");
        let said = new("consumer --store {n}", "clicks", None).unwrap_err().to_string();
        assert!(said.contains("topic `clicks`") && said.contains("reads `events`"), "{said}");
        new("consumer --store {n} --from kafka:other:1", "events", None).unwrap();
        let said =
            new("consumer --store {n} --from kafka:b:1/prod.", "events", None).unwrap_err().to_string();
        assert!(said.contains("from `kafka:b:1`") && said.contains("reads `kafka:b:1/prod.`"), "{said}");
    }
}
