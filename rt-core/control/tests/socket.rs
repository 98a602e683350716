//! The control socket between two ends: lease, left-overs, descriptors, nonsense.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use rt_control::{
    Act, Address, Answer, BindError, CallError, Client, ConnectError, LearnerGrant, Received, Refusal, Request, Server,
    list, remove_leftovers,
};

const WITHIN: Duration = Duration::from_secs(5);

fn address(dir: &tempfile::TempDir) -> Address {
    Address::new(dir.path(), "site", "agent", "main").unwrap()
}

#[test]
fn the_first_runtime_leads_the_second_stands_by_and_a_third_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let address = address(&dir);
    let first = Server::bind(&address).unwrap();
    let second = Server::bind(&address).unwrap();
    assert_eq!((first.leads(), second.leads()), (true, false));
    assert_eq!((first.address(), second.address()), (&address, &address.standby()));
    match Server::bind(&address) {
        Err(BindError::Held { pid, .. }) => assert_eq!(pid, std::process::id().to_string()),
        other => panic!("{other:?}"),
    }
    remove_leftovers(&address);
    assert!(address.socket().exists() && address.standby().socket().exists(), "a live runtime's socket was taken away");
}

#[test]
fn whoever_stands_by_leads_as_soon_as_the_leader_is_gone_and_nobody_comes_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let address = address(&dir);
    let first = Server::bind(&address).unwrap();
    first.write_epoch(7).unwrap();
    let mut second = Server::bind(&address).unwrap();
    assert!(!second.promote(&address, false).unwrap());
    drop(first);
    assert!(matches!(Server::bind(&address), Err(BindError::Held { .. })), "a newcomer was let past the heir");
    assert!(second.promote(&address, false).unwrap());
    assert_eq!((second.leads(), second.epoch_before()), (true, 7));
    assert!(address.socket().exists() && !address.standby().socket().exists() && !address.standby().lock().exists());
    drop(second);
    assert!(list(dir.path()).unwrap().is_empty() && !address.lock().exists());
}

#[test]
fn an_address_that_was_won_from_a_leader_that_lives_is_the_winners_and_the_loser_stands_by() {
    let dir = tempfile::tempdir().unwrap();
    let address = address(&dir);
    let mut first = Server::bind(&address).unwrap();
    let mut second = Server::bind(&address).unwrap();
    assert!(second.promote(&address, true).unwrap());
    assert!(second.is_in_place() && !first.is_in_place());
    first.step_down().unwrap();
    assert!(!first.leads() && address.standby().socket().exists());
    let asking = thread::spawn({
        let address = address.clone();
        move || Client::connect(&address, WITHIN).unwrap().act(Act::Arm, "to the winner")
    });
    let mut conversation = second.accept(WITHIN).unwrap().unwrap();
    assert!(matches!(conversation.receive(WITHIN), Received::Request(Request::Act { act: Act::Arm, .. })));
    conversation.answer(&Answer::Done { message: "armed".into() }, &[]).unwrap();
    assert!(asking.join().unwrap().is_ok());
    drop(first);
    assert!(address.socket().exists() && address.lock().exists(), "the loser took the winner's files away");
    drop(second);
    assert!(!address.lock().exists());
}

#[test]
fn a_leader_that_ends_after_its_address_was_won_from_it_leaves_the_winners_files_alone() {
    let dir = tempfile::tempdir().unwrap();
    let address = address(&dir);
    let first = Server::bind(&address).unwrap();
    let mut second = Server::bind(&address).unwrap();
    assert!(second.promote(&address, true).unwrap());
    drop(first);
    assert!(second.is_in_place() && address.socket().exists());
    assert!(Client::connect(&address, WITHIN).is_ok());
}

#[test]
fn an_address_whose_files_were_removed_is_taken_again_unless_somebody_else_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let address = address(&dir);
    let mut server = Server::bind(&address).unwrap();
    std::fs::remove_dir_all(address.socket().parent().unwrap()).unwrap();
    assert!(!server.is_in_place());
    server.restore().unwrap();
    assert!(server.is_in_place() && Client::connect(&address, WITHIN).is_ok());
    std::fs::remove_dir_all(address.socket().parent().unwrap()).unwrap();
    let other = Server::bind(&address).unwrap();
    assert!(other.leads(), "it cannot know better");
    assert!(matches!(server.restore(), Err(BindError::Held { .. })));
}

#[test]
fn a_lease_travels_with_its_descriptor() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::bind(&address(&dir)).unwrap();
    let asking = thread::spawn({
        let address = address(&dir);
        move || Client::connect(&address, WITHIN).unwrap().stand_by()
    });
    let mut conversation = server.accept(WITHIN).unwrap().unwrap();
    assert_eq!(conversation.receive(WITHIN), Received::Request(Request::StandBy));
    let file = tempfile::tempfile().unwrap();
    conversation.answer(&Answer::Lease { pid: 7 }, &[file.as_fd()]).unwrap();
    assert!(matches!(asking.join().unwrap(), Ok((7, _))));
}

#[test]
fn a_socket_left_by_a_crash_is_replaced_and_removed_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let address = address(&dir);
    std::fs::create_dir_all(address.socket().parent().unwrap()).unwrap();
    drop(UnixListener::bind(address.socket()).unwrap());
    std::fs::write(address.lock(), "1\n").unwrap();
    assert!(matches!(Client::connect(&address, WITHIN), Err(ConnectError::NotRunning { .. })));
    let server = Server::bind(&address).unwrap();
    assert_eq!(list(dir.path()).unwrap(), vec![address.clone()]);
    drop(server);
    assert!(!address.socket().exists() && !address.lock().exists());
}

#[test]
fn left_overs_of_a_dead_runtime_can_be_removed_by_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    let address = address(&dir);
    std::fs::create_dir_all(address.socket().parent().unwrap()).unwrap();
    drop(UnixListener::bind(address.socket()).unwrap());
    std::fs::write(address.lock(), "1\n").unwrap();
    remove_leftovers(&address);
    assert!(list(dir.path()).unwrap().is_empty() && !address.lock().exists());
}

#[test]
fn descriptors_arrive_and_the_peer_is_the_kernels_word() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::bind(&address(&dir)).unwrap();
    let asking = thread::spawn({
        let address = address(&dir);
        move || Client::connect(&address, WITHIN).unwrap().join_as_learner(7).unwrap()
    });
    let mut conversation = server.accept(WITHIN).unwrap().unwrap();
    assert_eq!(conversation.peer().pid, std::process::id());
    assert_eq!(conversation.receive(WITHIN), Received::Request(Request::JoinAsLearner { tag_list_hash: 7 }));
    let mut files: Vec<_> = (0..5).map(|_| tempfile::tempfile().unwrap()).collect();
    for (n, file) in files.iter_mut().enumerate() {
        write!(file, "{n}").unwrap();
        std::io::Seek::rewind(file).unwrap();
    }
    let descriptors: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
    conversation.answer(&Answer::Learner(LearnerGrant { epoch: 2, generation: 9 }), &descriptors).unwrap();
    let (grant, received) = asking.join().unwrap();
    assert_eq!(grant, LearnerGrant { epoch: 2, generation: 9 });
    for (n, descriptor) in received.into_iter().enumerate() {
        let mut content = String::new();
        std::fs::File::from(descriptor).read_to_string(&mut content).unwrap();
        assert_eq!(content, n.to_string());
    }
}

#[test]
fn a_refusal_is_an_error_with_its_facts() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::bind(&address(&dir)).unwrap();
    let asking = thread::spawn({
        let address = address(&dir);
        move || Client::connect(&address, WITHIN).unwrap().act(Act::Arm, "because")
    });
    let mut conversation = server.accept(WITHIN).unwrap().unwrap();
    assert_eq!(
        conversation.receive(WITHIN),
        Received::Request(Request::Act { act: Act::Arm, cause: "because".into() })
    );
    conversation.answer(&Answer::Refused(Refusal::NotPermitted { uid: 12 }), &[]).unwrap();
    match asking.join().unwrap() {
        Err(CallError::Refused(refusal)) => assert!(refusal.to_string().contains("user 12")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_runtime_that_does_not_answer_costs_the_caller_its_time_out_only() {
    let dir = tempfile::tempdir().unwrap();
    let _server = Server::bind(&address(&dir)).unwrap();
    let mut client = Client::connect(&address(&dir), Duration::from_millis(50)).unwrap();
    assert!(matches!(client.status(), Err(CallError::TimedOut(_))));
}

#[test]
fn nonsense_is_refused_and_the_server_goes_on() {
    use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketType, connect, send, socket};
    let dir = tempfile::tempdir().unwrap();
    let address = address(&dir);
    let server = Server::bind(&address).unwrap();
    for nonsense in [&[0xff; 40][..], &[2][..], &[1, 1, 1, 1][..], &[4, 200][..]] {
        let peer = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
        connect(&peer, &SocketAddrUnix::new(address.socket()).unwrap()).unwrap();
        send(&peer, nonsense, SendFlags::NOSIGNAL).unwrap();
        let mut conversation = server.accept(WITHIN).unwrap().unwrap();
        assert_eq!(conversation.receive(WITHIN), Received::Gone);
    }
    assert!(server.accept(Duration::from_millis(1)).unwrap().is_none());
}
