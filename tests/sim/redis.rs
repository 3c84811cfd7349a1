//! A model of Redis and of the links to it: channels, subscriptions, PUBLISH and its number of receivers.
//!
//! Each node has two connections, as the real one: one that publishes and one that subscribes. Each is in order within
//! itself and has a random delay of its own in each direction, so that a receiver's answer may overtake the number of
//! receivers. What a node asked for is held against the contract of the bus while the model runs: nothing is published
//! on a link that is known to be down, subscribed twice or unsubscribed without having been subscribed.
//!
//! Invariant: a command or an event from before a cut never takes effect after it.

use super::entropy::Seeded;
use moorline_core::{BusEvent, Destination, Publication, Ticket, Time};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The longest one-way delay of a message.
const DELAY_MAX_MICROS: usize = 800;

#[derive(Debug)]
enum Command {
    /// With the number of the intent, so that a confirmation of an earlier one is not taken for that of a later.
    Subscribe(String, u64),
    Unsubscribe(String),
    Publish(Publication),
    /// The end of a reconnect: answered with `Up` when everything before it is done.
    Ready,
}

/// A listener on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Subscriber {
    Node(usize),
    /// Somebody with `redis-cli`, who counts as a receiver and answers nothing.
    Onlooker,
}

#[derive(Debug)]
enum Event {
    Arrives { node: usize, command: Command },
    Confirms { node: usize, channel: String, intent: u64 },
    Delivers { node: usize, event: BusEvent },
}

/// The way of one connection in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    SubscriberOut,
    SubscriberBack,
    PublisherOut,
    PublisherBack,
}

#[derive(Debug, Default)]
struct Link {
    is_up: bool,
    is_known_down: bool,
    is_mute: bool,
    is_losing: bool,
    is_holding: bool,
    /// Each channel wanted, with the number of the intent.
    wanted: BTreeMap<String, u64>,
    unconfirmed: BTreeSet<String>,
    held: Vec<Command>,
}

/// The model.
#[derive(Debug)]
pub struct Redis {
    random: Seeded,
    links: Vec<Link>,
    subscribers: BTreeMap<String, BTreeSet<Subscriber>>,
    events: BTreeMap<(Time, u64), Event>,
    event_count: u64,
    intent_count: u64,
    busy_until: BTreeMap<(usize, Lane), Time>,
    /// Everything published, in order: channel, message, number of receivers and whether that number was wanted.
    published: Vec<Published>,
    stream: Vec<String>,
}

/// One publication that reached Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The channel.
    pub channel: String,
    /// The message as text.
    pub text: String,
    /// How many subscribers got it.
    pub receivers: u32,
    /// Whether the publisher wanted that number.
    pub is_ticketed: bool,
}

impl Redis {
    /// A Redis for this many nodes, all links down.
    pub fn new(random: Seeded, nodes: usize) -> Redis {
        Redis {
            random,
            links: (0..nodes).map(|_| Link { is_known_down: true, ..Link::default() }).collect(),
            subscribers: BTreeMap::new(),
            events: BTreeMap::new(),
            event_count: 0,
            intent_count: 0,
            busy_until: BTreeMap::new(),
            published: Vec::new(),
            stream: Vec::new(),
        }
    }

    /// A node wants a channel.
    pub fn subscribe(&mut self, now: Time, node: usize, channel: String) {
        self.intent_count += 1;
        let (intent, link) = (self.intent_count, &mut self.links[node]);
        let earlier = link.wanted.insert(channel.clone(), intent);
        assert_eq!(earlier, None, "node {node} subscribed twice to {channel}");
        link.unconfirmed.insert(channel.clone());
        if link.is_up {
            self.send(now, node, Lane::SubscriberOut, Command::Subscribe(channel, intent));
        }
    }

    /// A node no longer wants a channel.
    pub fn unsubscribe(&mut self, now: Time, node: usize, channel: String) {
        let link = &mut self.links[node];
        assert!(link.wanted.remove(&channel).is_some(), "node {node} was not subscribed to {channel}");
        let is_unanswered = link.unconfirmed.remove(&channel);
        assert!(link.is_known_down || !is_unanswered, "{channel}: UNSUBSCRIBE overtakes its SUBSCRIBE");
        if link.is_up {
            self.send(now, node, Lane::SubscriberOut, Command::Unsubscribe(channel));
        }
    }

    /// A node publishes.
    pub fn publish(&mut self, now: Time, node: usize, publication: Publication) {
        let link = &self.links[node];
        assert!(!link.is_known_down, "node {node} published on a link it knows to be down");
        if link.is_losing {
            self.deliver(now, node, Lane::PublisherBack, BusEvent::Lost { ticket: publication.ticket });
        } else {
            self.send(now, node, Lane::PublisherOut, Command::Publish(publication));
        }
    }

    /// Somebody else publishes; returns how many subscribers got it.
    pub fn publish_from_outside(&mut self, now: Time, channel: &str, payload: &[u8]) -> u32 {
        self.spread(now, channel, payload, false)
    }

    /// Somebody with `redis-cli` listens to a channel from now on.
    pub fn add_onlooker(&mut self, channel: &str) {
        self.subscribers.entry(channel.into()).or_default().insert(Subscriber::Onlooker);
    }

    /// Cuts a node's link. Returns what the node must learn at once.
    pub fn cut(&mut self, node: usize) -> Vec<BusEvent> {
        let lost = self.forget_in_flight(node);
        let link = &mut self.links[node];
        (link.is_up, link.is_known_down) = (false, true);
        link.held.clear();
        link.unconfirmed = link.wanted.keys().cloned().collect();
        let mut events: Vec<BusEvent> = lost.into_iter().map(|ticket| BusEvent::Lost { ticket }).collect();
        events.extend([BusEvent::SubscriptionsLost, BusEvent::Down]);
        events
    }

    /// A node is dead: Redis sees its connections close.
    pub fn forget(&mut self, node: usize) {
        self.cut(node);
        self.links[node] = Link { is_known_down: true, ..Link::default() };
    }

    /// Restores a node's link: subscribes everything it wants, then says `Up`.
    pub fn restore(&mut self, now: Time, node: usize) {
        assert!(!self.links[node].is_up, "the link of node {node} is up");
        self.links[node].is_up = true;
        for (channel, intent) in self.links[node].wanted.clone() {
            self.send(now, node, Lane::SubscriberOut, Command::Subscribe(channel, intent));
        }
        self.send(now, node, Lane::SubscriberOut, Command::Ready);
    }

    /// From now on this node's publications are lost, or no longer.
    pub fn lose_publications(&mut self, node: usize, is_losing: bool) {
        self.links[node].is_losing = is_losing;
    }

    /// The entries on the stream for backends since the last look.
    pub fn take_stream(&mut self) -> Vec<String> {
        std::mem::take(&mut self.stream)
    }

    /// From now on a node's subscriber link is open and brings nothing, or brings messages again.
    pub fn mute(&mut self, node: usize, is_mute: bool) {
        self.links[node].is_mute = is_mute;
    }

    /// Whether messages to this node are swallowed.
    pub fn is_mute(&self, node: usize) -> bool {
        self.links[node].is_mute
    }

    /// From now on commands on this node's subscriber connection wait.
    pub fn hold_subscriptions(&mut self, node: usize) {
        self.links[node].is_holding = true;
    }

    /// The commands that waited go on.
    pub fn release_subscriptions(&mut self, now: Time, node: usize) {
        self.links[node].is_holding = false;
        for command in std::mem::take(&mut self.links[node].held) {
            self.execute(now, node, command);
        }
    }

    /// How many channels a node wants, its own two among them.
    pub(super) fn wanted(&self, node: usize) -> usize {
        self.links[node].wanted.len()
    }

    /// The channels a node is subscribed to, as Redis sees it.
    pub fn subscriptions(&self, node: usize) -> Vec<String> {
        let is_subscribed =
            |subscribers: &BTreeSet<Subscriber>| subscribers.contains(&Subscriber::Node(node));
        self.subscribers.iter().filter(|(_, who)| is_subscribed(who)).map(|(name, _)| name.clone()).collect()
    }

    /// Takes the list of what was published since the last call, the nodes' messages to themselves left out.
    pub fn take_published(&mut self) -> Vec<Published> {
        let mut published = std::mem::take(&mut self.published);
        published.retain(|publication| !publication.text.starts_with("beat1 "));
        published
    }

    /// When something is next due.
    pub fn next_due(&self) -> Option<Time> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    /// Does what is due next, if that is due by `now`; returns the event and the node it is for.
    pub fn step(&mut self, now: Time) -> Option<(usize, BusEvent)> {
        while self.next_due()? <= now {
            let (_, event) = self.events.pop_first()?;
            match event {
                Event::Arrives { node, command } => self.arrive(now, node, command),
                Event::Confirms { node, channel, intent } if self.is_current(node, &channel, intent) => {
                    self.links[node].unconfirmed.remove(&channel);
                    return Some((node, BusEvent::Subscribed { channel }));
                }
                Event::Confirms { .. } => {}
                Event::Delivers { node, event } => {
                    self.links[node].is_known_down &= event != BusEvent::Up;
                    return Some((node, event));
                }
            }
        }
        None
    }

    /// Whether the node has not changed its mind since it stated this intent.
    fn is_current(&self, node: usize, channel: &str, intent: u64) -> bool {
        self.links[node].wanted.get(channel) == Some(&intent)
    }

    fn arrive(&mut self, now: Time, node: usize, command: Command) {
        if self.links[node].is_holding && !matches!(command, Command::Publish(_)) {
            self.links[node].held.push(command);
        } else {
            self.execute(now, node, command);
        }
    }

    fn execute(&mut self, now: Time, node: usize, command: Command) {
        match command {
            Command::Subscribe(channel, intent) => {
                self.subscribers.entry(channel.clone()).or_default().insert(Subscriber::Node(node));
                self.schedule(now, node, Lane::SubscriberBack, Event::Confirms { node, channel, intent });
            }
            Command::Unsubscribe(channel) => {
                let listeners = self.subscribers.entry(channel).or_default();
                listeners.remove(&Subscriber::Node(node));
            }
            Command::Publish(Publication { destination: Destination::Stream, payload, .. }) => {
                self.stream.push(String::from_utf8(payload).expect("an entry is JSON"));
            }
            Command::Publish(Publication { destination: Destination::Channel(channel), payload, ticket }) => {
                let receivers = self.spread(now, &channel, &payload, ticket.is_some());
                if let Some(ticket) = ticket {
                    self.deliver(now, node, Lane::PublisherBack, BusEvent::Published { ticket, receivers });
                }
            }
            Command::Ready => self.deliver(now, node, Lane::SubscriberBack, BusEvent::Up),
        }
    }

    fn spread(&mut self, now: Time, channel: &str, payload: &[u8], is_ticketed: bool) -> u32 {
        let listeners = self.subscribers.get(channel).cloned().unwrap_or_default();
        for listener in &listeners {
            if let Subscriber::Node(node) = *listener {
                if self.links[node].is_mute {
                    continue;
                }
                let event = BusEvent::Message { channel: channel.into(), payload: payload.into() };
                self.deliver(now, node, Lane::SubscriberBack, event);
            }
        }
        let receivers = u32::try_from(listeners.len()).expect("few listeners");
        let text = String::from_utf8_lossy(payload).into_owned();
        self.published.push(Published { channel: channel.into(), text, receivers, is_ticketed });
        receivers
    }

    fn send(&mut self, now: Time, node: usize, lane: Lane, command: Command) {
        self.schedule(now, node, lane, Event::Arrives { node, command });
    }

    fn deliver(&mut self, now: Time, node: usize, lane: Lane, event: BusEvent) {
        self.schedule(now, node, lane, Event::Delivers { node, event });
    }

    fn schedule(&mut self, now: Time, node: usize, lane: Lane, event: Event) {
        let delay = 1 + self.random.below(DELAY_MAX_MICROS) as u64;
        let free = self.busy_until.get(&(node, lane)).copied().unwrap_or_default();
        let at = (now + Duration::from_micros(delay)).max(free);
        self.busy_until.insert((node, lane), at);
        self.event_count += 1;
        self.events.insert((at, self.event_count), event);
    }

    /// Drops what is under way from and to a node; returns the tickets of publications that will never be answered.
    fn forget_in_flight(&mut self, node: usize) -> Vec<Option<Ticket>> {
        let mut lost = Vec::new();
        self.events.retain(|_, event| match event {
            Event::Arrives { node: of, command } if *of == node => {
                if let Command::Publish(publication) = command {
                    lost.push(publication.ticket);
                }
                false
            }
            Event::Confirms { node: of, .. } if *of == node => false,
            Event::Delivers { node: of, event } if *of == node => {
                if let BusEvent::Published { ticket, .. } = event {
                    lost.push(Some(*ticket));
                }
                false
            }
            _ => true,
        });
        for listeners in self.subscribers.values_mut() {
            listeners.remove(&Subscriber::Node(node));
        }
        lost
    }
}
