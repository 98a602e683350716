//! A cycle's I/O by async-opcua's client: a contestant of `cargo xtask bench opcua`.
//!
//! It speaks as `open62541/client.c` does: says `ready`, reads lines with a number of cycles and their period in
//! nanoseconds, and answers with the nanoseconds that each of them took.

use std::error::Error;
use std::io::BufRead as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opcua_client::{ClientBuilder, IdentityToken, Session};
use opcua_types::{
    AttributeId, DataValue, EndpointDescription, MessageSecurityMode, NodeId, ReadValueId, TimestampsToReturn,
    UAString, UserTokenPolicy, Variant, WriteValue,
};

const READ: usize = 50;
const WRITTEN: usize = 8;
const NAMESPACE: &str = "urn:corerl:plant";
const NODES: [&str; 4] = ["saturation.u", "saturation.level", "saturation.level_sp", "saturation.Reward"];

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    // One thread: the fewest switches that there can be.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run())
}

async fn run() -> Outcome<()> {
    let session = connect().await?;
    let index = session.get_namespace_index(NAMESPACE).await?;
    let node = |name: &str| NodeId::new(index, name);
    let reads: Vec<ReadValueId> = NODES.iter().cycle().take(READ).map(|name| node(name).into()).collect();
    let write = WriteValue {
        node_id: node(NODES[0]),
        attribute_id: AttributeId::Value as u32,
        index_range: Default::default(),
        value: DataValue { value: Some(Variant::Double(0.25)), ..DataValue::null() },
    };
    let writes = vec![write; WRITTEN];
    cycle(&session, &writes, &reads).await?;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (cycles, period_ns) = line.split_once(' ').ok_or("two numbers are needed")?;
        let (cycles, period) = (cycles.parse::<usize>()?, Duration::from_nanos(period_ns.parse()?));
        let mut answer = String::new();
        let mut next = Instant::now();
        for _ in 0..cycles {
            if !period.is_zero() {
                next += period;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            let start = Instant::now();
            cycle(&session, &writes, &reads).await?;
            answer += &format!("{} ", start.elapsed().as_nanos());
        }
        println!("{answer}");
    }
    Ok(())
}

async fn connect() -> Outcome<Arc<Session>> {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| arguments.windows(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone());
    let url = option("--url").ok_or("--url is missing")?;
    let builder = ClientBuilder::new()
        .application_name("bench")
        .application_uri("urn:corerl:bench")
        .trust_server_certs(true)
        .verify_server_certs(false)
        .session_retry_limit(0);
    let pki = option("--pki").unwrap_or_default();
    let (builder, policy, mode) = match option("--security").as_deref() {
        Some("encrypt") => (
            builder
                .pki_dir(format!("{pki}/async-opcua"))
                .certificate_path(format!("{pki}/client/cert.der"))
                .private_key_path(format!("{pki}/private/client.pem")),
            "Basic256Sha256",
            MessageSecurityMode::SignAndEncrypt,
        ),
        _ => (builder.pki_dir(format!("{pki}/async-opcua")), "None", MessageSecurityMode::None),
    };
    let mut client = builder.client().map_err(|complaints| complaints.join("; "))?;
    let endpoint: EndpointDescription = (url.as_str(), policy, mode, UserTokenPolicy::anonymous()).into();
    let endpoint = EndpointDescription { security_policy_uri: policy_uri(policy), ..endpoint };
    let (session, event_loop) = client.connect_to_matching_endpoint(endpoint, IdentityToken::Anonymous).await?;
    event_loop.spawn();
    if !session.wait_for_connection().await {
        return Err("no connection".into());
    }
    Ok(session)
}

fn policy_uri(policy: &str) -> UAString {
    format!("http://opcfoundation.org/UA/SecurityPolicy#{policy}").into()
}

async fn cycle(session: &Session, writes: &[WriteValue], reads: &[ReadValueId]) -> Outcome<()> {
    let written = session.write(writes).await?;
    let read = session.read(reads, TimestampsToReturn::Source, 0.0).await?;
    let good = written.iter().all(|status| status.is_good()) && read.iter().all(|value| value.value.is_some());
    if good { Ok(()) } else { Err("a value is bad".into()) }
}
