//! Tests of the containers: their files agree with the rest of the repository, and the edge's image serves as the Worker on
//! Cloudflare does. The image's own script and configuration run here, outside a container.
//!
//! - `builds`: versions, locks and pinned images
//! - `services`: the services of docker-compose.yml, and the dashboard
//! - `variables`: every variable of the programs reaches them
//! - `edge_image`: the edge's image as a process
//! - `repository`: the files that are compared

#[cfg(test)]
mod builds;
#[cfg(test)]
mod edge_image;
#[cfg(test)]
mod repository;
#[cfg(test)]
mod services;
#[cfg(test)]
mod variables;
