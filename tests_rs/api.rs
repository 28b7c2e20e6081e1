//! The API as a program uses it: a client, a server, and nothing else.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusty_attachments::{
    CacheFolder, CancellationToken, Client, ConflictResolution, Content, Credentials, DownloadRequest, Error,
    FileStatus, HashFilesRequest, JobAttachmentS3Settings, Manifest, ManifestPath, OutputsRequest, PathFormat,
    ProgressReport, S3Action, SessionAction, SnapshotRequest, SymlinkPolicy, UploadRequest, WorkerManifestProperties,
    files_below, hash_bytes, hash_files, session_path_mapping, snapshot,
};
use rusty_attachments_servers::strict::{ACCESS_KEY, S3sServer, SECRET_KEY};

const BUCKET: &str = "studio";

/// A server with a bucket, a client of it, and a folder for files.
struct Studio {
    folder: tempfile::TempDir,
    _server: S3sServer,
    client: Client,
    settings: JobAttachmentS3Settings,
}

impl Studio {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bucket = folder.path().join("s3").join(BUCKET);
        fs::create_dir_all(bucket).unwrap();
        let server = S3sServer::start(&folder.path().join("s3"), 0).await.unwrap();
        let client = Client::builder()
            .endpoint_url(server.endpoint())
            .region("us-west-2")
            .credentials(Credentials::new(ACCESS_KEY, SECRET_KEY))
            .check_bucket_owner(false)
            .build()
            .await
            .unwrap();
        Self { folder, _server: server, client, settings: JobAttachmentS3Settings::new(BUCKET, "root") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, contents: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    fn caches(&self) -> CacheFolder {
        CacheFolder::At(self.path("caches"))
    }

    async fn snapshot(&self, root: &str) -> Arc<Manifest> {
        snapshot(SnapshotRequest::new(self.path(root)).cache(self.caches())).await.unwrap().manifest
    }

    async fn upload(&self, manifest: &Arc<Manifest>, root: &str, key: &str) -> rusty_attachments::UploadReport {
        let request = UploadRequest::new(&self.settings, Arc::clone(manifest), self.path(root));
        self.client.upload(request.manifest_key(key).cache(self.caches())).await.unwrap()
    }
}

fn names(manifest: &Manifest) -> Vec<String> {
    manifest.entries().map(|entry| entry.path().display()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_goes_there_and_back() {
    let studio = Studio::new().await;
    studio.write("scene/a.ma", "a scene");
    studio.write("scene/textures/b.tex", "a texture");
    studio.write("scene/textures/copy.tex", "a texture");
    let manifest = studio.snapshot("scene").await;
    assert_eq!((manifest.len(), manifest.total_size_bytes()), (3, 25));

    let sent = studio.upload(&manifest, "scene", "farm/queue/Inputs/1/input").await;
    assert_eq!((sent.uploaded_files, sent.skipped_files), (2, 1), "each content once");
    assert_eq!(sent.manifest_key.as_deref(), Some("root/Manifests/farm/queue/Inputs/1/input"));
    assert_eq!(sent.manifest_hash, manifest.hash().unwrap());
    let again = studio.upload(&manifest, "scene", "farm/queue/Inputs/2/input").await;
    assert_eq!((again.uploaded_files, again.skipped_files), (0, 3));

    let seen = Arc::new(Mutex::new(Vec::new()));
    let reports = Arc::clone(&seen);
    let observer = move |report: &ProgressReport| {
        reports.lock().unwrap().push(*report);
        ControlFlow::Continue(())
    };
    let target = studio.path("target");
    let request = DownloadRequest::new(&studio.settings).root(&target, Arc::clone(&manifest));
    let got = studio.client.download(request.clone()).progress(observer).await.unwrap();
    assert_eq!((got.downloaded_files, got.written[0].len()), (3, 3));
    assert_eq!(fs::read_to_string(target.join("textures/copy.tex")).unwrap(), "a texture");
    let last = *seen.lock().unwrap().last().unwrap();
    assert!(last.is_last && last.fraction() == Some(1.0) && last.total_files == Some(3), "{last:?}");

    let request = request.conflicts(ConflictResolution::Resume).cache(CacheFolder::None);
    let resumed = studio.client.download(request).await.unwrap();
    assert_eq!((resumed.downloaded_files, resumed.skipped_files), (0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_action_stores_what_it_wrote() {
    let studio = Studio::new().await;
    studio.write("session/in.ma", "a scene");
    let inputs = studio.snapshot("session").await;
    studio.write("session/renders [final]/a.exr", "a frame");
    studio.write("session/other/b.exr", "not an output");
    let json = format!(
        r#"[{{"manifestProperties": {{"rootPath": "C:\\shots", "rootPathFormat": "windows",
            "outputRelativeDirectories": ["renders [final]"]}}, "localRootPath": "{}", "localManifestPaths": []}}]"#,
        studio.path("session").display()
    );
    let [root]: [WorkerManifestProperties; 1] =
        WorkerManifestProperties::from_json(json.as_bytes()).unwrap().try_into().unwrap();
    let request = SnapshotRequest::new(root.local_root_path())
        .include(root.output_directories().unwrap().iter().map(files_below))
        .changed_since(inputs)
        .cache(CacheFolder::None);
    let outputs = snapshot(request).await.unwrap();
    assert_eq!(names(&outputs.manifest), ["renders [final]/a.exr"]);
    assert_eq!(outputs.hashed.values().sum::<u64>(), 1);

    let action = SessionAction {
        farm_id: "farm-1".into(),
        queue_id: "queue-1".into(),
        job_id: "job-1".into(),
        step_id: "step-1".into(),
        task_id: Some("task-1".into()),
        id: "sessionaction-1-0".into(),
        started: std::time::SystemTime::UNIX_EPOCH,
    };
    let request = UploadRequest::new(&studio.settings, outputs.manifest, root.local_root_path())
        .manifest_key(action.manifest_key(&root.output_manifest_name()))
        .manifest_metadata(root.output_manifest_metadata())
        .cache(CacheFolder::None);
    studio.client.upload(request).await.unwrap();

    let job = OutputsRequest::job(&studio.settings, "farm-1", "queue-1", "job-1");
    let found = studio.client.outputs(job.clone()).await.unwrap();
    assert_eq!((found.len(), found[0].root.as_path()), (1, Path::new(r"C:\shots")));
    assert_eq!(names(&found[0].manifest), ["renders [final]/a.exr"]);
    assert_eq!(studio.client.outputs(job.clone().step("step-1").task("task-1")).await.unwrap().len(), 1);
    assert!(studio.client.outputs(job.step("step-2")).await.unwrap().is_empty());
    assert!(
        studio
            .client
            .outputs(OutputsRequest::job(&studio.settings, "farm-1", "queue-1", "job"))
            .await
            .unwrap()
            .is_empty()
    );

    let rules = session_path_mapping("/sessions/1", [root.manifest_properties()]);
    assert_eq!((rules.len(), rules[0].format()), (1, PathFormat::Windows));
    assert!(rules[0].destination().starts_with("/sessions/1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_told_apart() {
    let studio = Studio::new().await;
    studio.write("scene/a.ma", "a scene");
    let manifest = studio.snapshot("scene").await;
    let request = DownloadRequest::new(&studio.settings).root(studio.path("target"), Arc::clone(&manifest));
    let error = studio.client.download(request.clone()).await.unwrap_err();
    let Error::S3Service(error) = error else { panic!("{error}") };
    assert_eq!((error.action, error.status_code, error.bucket.as_str()), (S3Action::DownloadingFile, 404, BUCKET));

    let stopped = CancellationToken::new();
    stopped.cancel();
    assert!(studio.client.download(request).cancel_with(&stopped).await.unwrap_err().is_cancelled());

    studio.write("scene/a.ma", "another scene");
    let request = UploadRequest::new(&studio.settings, manifest, studio.path("scene")).cache(CacheFolder::None);
    let error = studio.client.upload(request).await.unwrap_err();
    assert!(matches!(error, Error::SourceFile { .. }), "{error}");

    studio.write("no manifest", "{}");
    let error = Manifest::read(studio.path("no manifest")).unwrap_err().to_string();
    assert!(error.contains("no manifest: "), "{error}");
    let error = JobAttachmentS3Settings::from_uri("s3://bucket").unwrap_err().to_string();
    assert!(error.contains("write s3://bucket/prefix"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_hashed_once() {
    let studio = Studio::new().await;
    studio.write("scene/a.ma", "a scene");
    let request = HashFilesRequest::new(studio.path("scene"), ["a.ma"]).cache(CacheFolder::None);
    let [file]: [_; 1] = hash_files(request).await.unwrap().try_into().unwrap();
    assert_eq!((file.path.as_path(), file.size_bytes, file.hash), (Path::new("a.ma"), 7, hash_bytes(b"a scene")));
    assert!(file.reason.is_some());
    let error = hash_files(HashFilesRequest::new(studio.path("scene"), ["b.ma"]).cache(CacheFolder::None)).await;
    assert!(matches!(error.unwrap_err(), Error::SourceFile { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_are_compared_merged_and_cut() {
    let studio = Studio::new().await;
    for name in ["scene/a.ma", "scene/textures/b.tex", "scene/textures/c.tex"] {
        studio.write(name, name);
    }
    let before = studio.snapshot("scene").await;
    studio.write("scene/a.ma", "changed, and longer than before");
    studio.write("scene/new.ma", "new");
    fs::remove_file(studio.path("scene/textures/c.tex")).unwrap();
    let after = studio.snapshot("scene").await;
    let mut changes: Vec<(FileStatus, String)> =
        before.changes(&after).iter().map(|change| (change.status, change.entry.path().display())).collect();
    changes.sort_by(|left, right| left.1.cmp(&right.1));
    let expected =
        [(FileStatus::Modified, "a.ma"), (FileStatus::New, "new.ma"), (FileStatus::Deleted, "textures/c.tex")];
    assert_eq!(changes, expected.map(|(status, path)| (status, path.to_owned())));

    let merged = Manifest::merge([&*before, &*after]).unwrap().unwrap();
    assert_eq!(merged.len(), 4);
    assert_eq!(Manifest::decode(merged.encode().unwrap().as_bytes()).unwrap().hash().unwrap(), merged.hash().unwrap());
    let textures = before.subtree("textures").unwrap();
    assert_eq!(names(&textures).len(), 2);
    assert!(names(&textures.with_prefix("x").unwrap()).contains(&"x/b.tex".to_owned()));
    let filtered = before.filter(["*.ma"]).unwrap();
    assert_eq!((names(&filtered), filtered.total_size_bytes()), (vec!["a.ma".to_owned()], 10));

    let tree = SnapshotRequest::new(studio.path("scene")).symlinks(SymlinkPolicy::ExcludeAll).cache(CacheFolder::None);
    let tree = snapshot(tree).await.unwrap().manifest;
    assert_eq!(tree.directories().map(ManifestPath::display).collect::<Vec<_>>(), ["textures"]);
    assert!(tree.entries().all(|entry| matches!(entry.content(), Content::Hash(_))));
}
