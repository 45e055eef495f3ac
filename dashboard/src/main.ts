import { mount } from 'svelte';
import App from './App.svelte';
import { session } from './stores/session.svelte';
import './styles/tokens.css';
import './styles/base.css';

// Before anything is drawn: it takes a one-time code out of the address.
void session.start();

const target = document.getElementById('app');
if (target !== null) mount(App, { target });
