//! The methods: each is measured and handed on to the file of its name.

use huddle_proto::directory::v1::{
    AddMemberRequest, AddMemberResponse, ArchiveTeamRequest, ArchiveTeamResponse, ChangeMemberRoleRequest,
    ChangeMemberRoleResponse, CreateTeamRequest, CreateTeamResponse, GetMembershipRequest, GetMembershipResponse,
    GetMembershipsRequest, GetMembershipsResponse, GetTeamRequest, GetTeamResponse, GetUserNamesRequest,
    GetUserNamesResponse, ListMembersRequest, ListMembersResponse, ListUserTeamsRequest, ListUserTeamsResponse,
    RemoveMemberRequest, RemoveMemberResponse, RenameTeamRequest, RenameTeamResponse,
    directory_service_server::DirectoryService,
};
use tonic::{Request, Response, Status};

use crate::{
    add_member::add_member, archive_team::archive_team, change_member_role::change_member_role,
    create_team::create_team, directory::Directory, get_membership::get_membership, get_memberships::get_memberships,
    get_team::get_team, get_user_names::get_user_names, list_members::list_members, list_user_teams::list_user_teams,
    remove_member::remove_member, rename_team::rename_team,
};

#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) directory: Directory,
}

#[tonic::async_trait]
impl DirectoryService for Service {
    async fn create_team(&self, request: Request<CreateTeamRequest>) -> Result<Response<CreateTeamResponse>, Status> {
        self.directory.calls.observe("CreateTeam", create_team(&self.directory, request)).await
    }

    async fn rename_team(&self, request: Request<RenameTeamRequest>) -> Result<Response<RenameTeamResponse>, Status> {
        self.directory.calls.observe("RenameTeam", rename_team(&self.directory, request)).await
    }

    async fn archive_team(
        &self,
        request: Request<ArchiveTeamRequest>,
    ) -> Result<Response<ArchiveTeamResponse>, Status> {
        self.directory.calls.observe("ArchiveTeam", archive_team(&self.directory, request)).await
    }

    async fn add_member(&self, request: Request<AddMemberRequest>) -> Result<Response<AddMemberResponse>, Status> {
        self.directory.calls.observe("AddMember", add_member(&self.directory, request)).await
    }

    async fn remove_member(
        &self,
        request: Request<RemoveMemberRequest>,
    ) -> Result<Response<RemoveMemberResponse>, Status> {
        self.directory.calls.observe("RemoveMember", remove_member(&self.directory, request)).await
    }

    async fn change_member_role(
        &self,
        request: Request<ChangeMemberRoleRequest>,
    ) -> Result<Response<ChangeMemberRoleResponse>, Status> {
        self.directory.calls.observe("ChangeMemberRole", change_member_role(&self.directory, request)).await
    }

    async fn get_team(&self, request: Request<GetTeamRequest>) -> Result<Response<GetTeamResponse>, Status> {
        self.directory.calls.observe("GetTeam", get_team(&self.directory, request)).await
    }

    async fn list_members(
        &self,
        request: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        self.directory.calls.observe("ListMembers", list_members(&self.directory, request)).await
    }

    async fn list_user_teams(
        &self,
        request: Request<ListUserTeamsRequest>,
    ) -> Result<Response<ListUserTeamsResponse>, Status> {
        self.directory.calls.observe("ListUserTeams", list_user_teams(&self.directory, request)).await
    }

    async fn get_user_names(
        &self,
        request: Request<GetUserNamesRequest>,
    ) -> Result<Response<GetUserNamesResponse>, Status> {
        self.directory.calls.observe("GetUserNames", get_user_names(&self.directory, request)).await
    }

    async fn get_memberships(
        &self,
        request: Request<GetMembershipsRequest>,
    ) -> Result<Response<GetMembershipsResponse>, Status> {
        self.directory.calls.observe("GetMemberships", get_memberships(&self.directory, request)).await
    }

    async fn get_membership(
        &self,
        request: Request<GetMembershipRequest>,
    ) -> Result<Response<GetMembershipResponse>, Status> {
        self.directory.calls.observe("GetMembership", get_membership(&self.directory, request)).await
    }
}
